import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mask_trial import BODY, GROUPS, HUB, PARTS, RIM, TYRE, car
from PIL import Image

from storage.errors import MaskMismatch, PictureTooLarge, UnknownPart, UnreadablePicture
from storage.masks import Mask, check_mask, decode_mask, encode_mask, resolve_parts

some_masks = arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24)), elements=st.integers(0, 4))


def png(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)  # type: ignore[arg-type]
    return buffer.getvalue()


@given(some_masks)
def test_a_mask_survives_its_png(mask: Mask) -> None:
    data = encode_mask(mask, PARTS, {"editq": "{}"})
    assert np.array_equal(decode_mask(data), mask)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "P"
        shown = np.asarray(image.convert("RGB"))
    assert np.array_equal(shown, np.array([part.colour for part in PARTS], np.uint8)[mask])


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_indices_are_the_ids_at_every_depth(bits: int) -> None:
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4) % min(5, 2**bits)
    image = Image.fromarray(mask)
    image.putpalette([200, 1, 1] * 256)  # colours say nothing
    assert np.array_equal(decode_mask(png(image, bits=bits)), mask)


def test_grey_values_are_the_ids() -> None:
    mask = np.array([[0, 1, 2], [3, 4, 255]], np.uint8)
    assert np.array_equal(decode_mask(png(Image.fromarray(mask))), mask)
    bits = np.array([[True, False]])
    assert decode_mask(png(Image.fromarray(bits))).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("bits", "rows", "expected"), [(2, b"\0\x1b", [0, 1, 2, 3]), (4, b"\0\x01\x2f", [0, 1, 2, 15])]
)
def test_grey_values_of_few_bits_are_the_ids(bits: int, rows: bytes, expected: list[int]) -> None:
    import struct
    import zlib

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", 4, 1, bits, 0, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    assert decode_mask(data).tolist() == [expected]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "I;16"])
def test_colours_are_no_mask(mode: str) -> None:
    with pytest.raises(MaskMismatch) as caught:
        decode_mask(png(Image.new(mode, (4, 4))))
    assert "part ids" in str(caught.value.expected)


def test_only_png_is_read_and_only_to_a_size() -> None:
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "JPEG")
    with pytest.raises(UnreadablePicture):
        decode_mask(buffer.getvalue())
    with pytest.raises(PictureTooLarge):
        decode_mask(png(Image.new("L", (8, 8))), 63)


def test_a_mask_must_fit_the_model() -> None:
    check_mask(car(), 128, PARTS)
    with pytest.raises(MaskMismatch) as caught:
        check_mask(car()[:60], 128, PARTS)
    assert caught.value.field == "mask"
    assert "128x60" in caught.value.detail
    assert "128x128" in str(caught.value.expected)
    wrong = car()
    wrong[0, :3] = (9, 200, 9)
    with pytest.raises(MaskMismatch) as caught:
        check_mask(wrong, 128, PARTS)
    assert "9, 200" in caught.value.detail
    assert "0, 1, 2, 3, 4" in str(caught.value.expected)


def test_names_stand_for_parts() -> None:
    assert resolve_parts([], PARTS, GROUPS) == ()
    assert resolve_parts(["rim", "wheel", "body"], PARTS, GROUPS) == (RIM, TYRE, HUB, BODY)
    with pytest.raises(UnknownPart) as caught:
        resolve_parts(["door"], PARTS, GROUPS)
    assert caught.value.field == "q_edit"
    assert "wheel" in str(caught.value.expected)
