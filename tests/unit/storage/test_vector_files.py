"""Editing vectors as files: what is read, what is written, and what is refused."""

import io
import json
import struct
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from storage.errors import UnreadableVector, VectorMismatch
from storage.vector_files import (
    MAX_HEADER_BYTES,
    MAX_VECTOR_BYTES,
    check_shape,
    dimensions_of,
    layers_of,
    read_vector,
    write_vector,
)

DELTA = np.random.default_rng(0).normal(size=(6, 16)).astype(np.float32)
ENTRY = {"dtype": "F32", "shape": [6, 16], "data_offsets": [0, 384]}


def npy(array: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **options)
    return stream.getvalue()


def tensors(header: object, numbers: bytes = DELTA.tobytes(), *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + numbers


@pytest.mark.parametrize(
    "data",
    [
        save({"delta_w": DELTA}),
        save({"delta_w": DELTA[None]}, metadata={"made": "elsewhere"}),
        npy(DELTA),
        npy(DELTA[None]),
        npy(DELTA, version=(2, 0)),
        npy(np.asfortranarray(DELTA)),
        tensors({"delta_w": ENTRY}),
    ],
)
def test_every_form_gives_the_same_numbers(data: bytes) -> None:
    read = read_vector(data)
    assert read.dtype == np.float32
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, DELTA)


def test_what_is_written_is_read_by_the_format_s_own_library() -> None:
    written = write_vector(DELTA)
    (read,) = load(written).values()
    np.testing.assert_array_equal(read, DELTA)
    np.testing.assert_array_equal(read_vector(written), DELTA)
    assert written == write_vector(read)
    assert struct.unpack("<Q", written[:8])[0] % 8 == 0


REFUSED: dict[str, bytes] = {
    "nothing": b"",
    "a few bytes": b"\x93NU",
    "text": b"this is a letter, and no vector at all",
    "a pickle": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.",
    "a header of exabytes": tensors({"delta_w": ENTRY}, length=1 << 60),
    "a header longer than the file": tensors({"delta_w": ENTRY}, length=2000),
    "a header above the limit": tensors(b"{" + b" " * MAX_HEADER_BYTES + b"}"),
    "an empty header": tensors(b""),
    "no JSON": tensors(b"{'delta_w': 1}"),
    "no UTF-8": tensors(b'{"delta_w\xff": 1}'),
    "a list": tensors([1]),
    "a header nested deeply": tensors(b"[" * 60_000),
    "a number of many digits": tensors(b'{"delta_w": ' + b"9" * 6000 + b"}"),
    "a name twice": tensors(b'{"delta_w": 1, "delta_w": ' + json.dumps(ENTRY).encode() + b"}"),
    "another name": tensors({"w_plus": ENTRY}),
    "two tensors": save({"delta_w": DELTA, "other": DELTA}),
    "no tensor": tensors({}),
    "metadata of numbers": tensors({"__metadata__": {"a": 1}, "delta_w": ENTRY}),
    "an entry too many": tensors({"delta_w": {**ENTRY, "x": 1}}),
    "an entry that is none": tensors({"delta_w": [6, 16]}),
    "half precision": save({"delta_w": DELTA.astype(np.float16)}),
    "double precision": save({"delta_w": DELTA.astype(np.float64)}),
    "whole numbers": save({"delta_w": DELTA.astype(np.int32)}),
    "another kind's name": tensors({"delta_w": {**ENTRY, "dtype": ["F32"]}}),
    "one axis": save({"delta_w": DELTA[0]}),
    "two vectors": save({"delta_w": np.stack([DELTA, DELTA])}),
    "four axes": save({"delta_w": DELTA[None, None]}),
    "no numbers": tensors({"delta_w": {**ENTRY, "shape": [0, 16], "data_offsets": [0, 0]}}, b""),
    "sizes below nothing": tensors({"delta_w": {**ENTRY, "shape": [-6, -16]}}),
    "a size that is a fraction": tensors({"delta_w": {**ENTRY, "shape": [6.0, 16]}}),
    "a size that is true": tensors({"delta_w": {**ENTRY, "shape": [True, 96]}}),
    "sizes that promise more": tensors({"delta_w": {**ENTRY, "shape": [12, 16]}}),
    "too many layers": save({"delta_w": np.zeros((65, 2), np.float32)}),
    "too many dimensions": save({"delta_w": np.zeros((2, 8193), np.float32)}),
    "a place elsewhere": tensors({"delta_w": {**ENTRY, "data_offsets": [8, 392]}}),
    "numbers cut short": save({"delta_w": DELTA})[:-4],
    "numbers too many": save({"delta_w": DELTA}) + b"\0\0\0\0",
    "no number": save({"delta_w": np.where(DELTA > 1, np.nan, DELTA)}),
    "infinity": save({"delta_w": np.where(DELTA > 1, np.inf, DELTA)}),
    "above the limit": bytes(MAX_VECTOR_BYTES + 1),
    "npy of objects": npy(np.array([[DELTA]], dtype=object), allow_pickle=True),
    "npy of doubles": npy(DELTA.astype(np.float64)),
    "npy of big endian": npy(DELTA.astype(">f4")),
    "npy of fields": npy(np.zeros((6, 16), np.dtype([("a", "<f4")]))),
    "npy cut short": npy(DELTA)[:-4],
    "npy too long": npy(DELTA) + b"\0\0\0\0",
    "npy of another version": npy(DELTA).replace(b"NUMPY\x01", b"NUMPY\x07"),
    "npy with code for a header": npy(DELTA).replace(b"(6, 16)", b"(id(),)"),
    "npy with a long header": npy(DELTA)[:8] + b"\xff\xff" + npy(DELTA)[10:],
    "npy with vast sizes": npy(DELTA).replace(b"(6, 16)", b"(6" + b"0" * 20 + b", 16)"),
    "npy with no number": npy(np.where(DELTA > 1, np.nan, DELTA)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_whole_vector_is_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(UnreadableVector) as caught:
        read_vector(REFUSED[name])
    assert caught.value.detail.endswith(".")
    assert len(caught.value.detail) < 200
    assert "float32" in (caught.value.expected or "")


def test_any_byte_changed_is_read_or_refused() -> None:
    dice = np.random.default_rng(7)
    for whole in (save({"delta_w": DELTA}), npy(DELTA)):
        for _ in range(400):
            data = bytearray(whole)
            for at in dice.integers(0, 140, size=dice.integers(1, 5)):
                data[at] = dice.integers(0, 256)
            try:
                assert np.isfinite(read_vector(bytes(data))).all()
            except UnreadableVector:
                continue


def test_layers_follow_from_the_resolution() -> None:
    assert [layers_of(px) for px in (4, 16, 64, 512, 1024)] == [2, 6, 10, 16, 18]


def test_dimensions_are_read_off_the_beginning_of_a_generators_file() -> None:
    config = {"stylegan2_generator": json.dumps({"resolution": 16, "w_dim": 24})}
    file = save({"mapping.w_avg": np.zeros(24, np.float32)}, metadata=config)
    assert dimensions_of(file[at : at + 7] for at in range(0, len(file), 7)) == 24
    for other in (b"", b"...", save({"a": DELTA}), save({"a": DELTA}, metadata={"stylegan2_generator": "["})):
        assert dimensions_of([other]) is None


def test_a_vector_of_another_shape_does_not_fit() -> None:
    check_shape(DELTA, "cars", 6, 16)
    check_shape(DELTA, "cars", 6, None)
    for num_ws, w_dim in ((10, 16), (6, 128), (10, None)):
        with pytest.raises(VectorMismatch, match=r"The vector is \[6, 16\]"):
            check_shape(DELTA, "cars", num_ws, w_dim)
