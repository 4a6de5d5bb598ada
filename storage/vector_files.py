"""Editing vectors as files, read strictly and with NumPy alone: nothing in a file is evaluated or executed.

Two forms are read: safetensors with the one tensor delta_w, and the .npy files that EditGAN left, both
float32 [L, D] or [1, L, D]. One form is written: safetensors with delta_w [L, D].
"""

import json
import re
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import UnreadableVector, VectorMismatch

DELTA_W = "delta_w"
VECTOR_MEDIA_TYPE = "application/octet-stream"
MAX_LAYERS, MAX_DIMENSIONS = 64, 8192
MAX_HEADER_BYTES = 64 << 10
MAX_VECTOR_BYTES = 8 + MAX_HEADER_BYTES + 4 * MAX_LAYERS * MAX_DIMENSIONS
EXPECTED = f"float32 [L, D] or [1, L, D], at most {MAX_LAYERS} layers L of {MAX_DIMENSIONS} dimensions D"
_METADATA = "__metadata__"
_NPY_START = b"\x93NUMPY"
_NPY_LENGTH_BYTES = {1: 2, 2: 4, 3: 4}
_NPY_HEADER = re.compile(
    r"\{'descr': '([^']{1,20})', 'fortran_order': (True|False), 'shape': \(([0-9, ]{0,60})\), \} *\n"
)
_GENERATOR = "stylegan2_generator"  # where a generator's file says what it was built as

Delta = NDArray[np.float32]


def read_vector(data: bytes) -> Delta:
    """delta_w [L, D] of a safetensors or .npy file. Raises UnreadableVector."""
    if len(data) > MAX_VECTOR_BYTES:
        raise _unreadable(f"The file has {len(data)} bytes")
    shape, order, numbers = _npy(data) if data.startswith(_NPY_START) else _safetensors(data)
    sizes = shape[1:] if len(shape) == 3 and shape[0] == 1 else shape
    if len(sizes) != 2 or not (1 <= sizes[0] <= MAX_LAYERS and 1 <= sizes[1] <= MAX_DIMENSIONS):
        raise _unreadable(f"The array is {list(shape)}")
    if len(numbers) != 4 * sizes[0] * sizes[1]:
        raise _unreadable(f"{len(numbers)} bytes of numbers follow for an array of {list(shape)}")
    delta_w = np.frombuffer(numbers, "<f4").reshape(sizes, order=order).astype(np.float32, order="C")
    if not np.isfinite(delta_w).all():
        raise _unreadable("Some of the numbers are infinite, or no numbers")
    return delta_w


def write_vector(delta_w: Delta) -> bytes:
    """delta_w [L, D] as a safetensors file that says what it is: the same numbers, the same bytes."""
    layers, dimensions = delta_w.shape
    config = json.dumps({"kind": "editing vector", "num_ws": layers, "w_dim": dimensions})
    entry = {"dtype": "F32", "shape": [layers, dimensions], "data_offsets": [0, 4 * delta_w.size]}
    header = json.dumps({_METADATA: {"config": config}, DELTA_W: entry}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + delta_w.astype("<f4", order="C").tobytes()


def check_shape(delta_w: Delta, model: str, num_ws: int, w_dim: int | None) -> None:
    """Raises VectorMismatch where the model's codes have another shape. w_dim None: it is not known."""
    layers, dimensions = delta_w.shape
    if layers != num_ws or w_dim not in (None, dimensions):
        expected = f"[{num_ws}, {'D' if w_dim is None else w_dim}]"
        raise VectorMismatch(
            f"The vector is [{layers}, {dimensions}]; vectors of the model {model} are {expected}.",
            expected=f"delta_w {expected}",
        )


def layers_of(resolution_px: int) -> int:
    """num_ws of a StyleGAN2 generator: 2 log2(R) - 2."""
    return 2 * (resolution_px.bit_length() - 1) - 2


def dimensions_of(generator: Iterable[bytes]) -> int | None:
    """w_dim as the beginning of a generator's file tells it; None where it does not."""
    try:
        header = _header(_beginning(generator))
        w_dim = json.loads(header[_METADATA][_GENERATOR])["w_dim"]
    except (UnreadableVector, KeyError, TypeError, ValueError, RecursionError):
        return None
    return w_dim if type(w_dim) is int else None


def _beginning(chunks: Iterable[bytes]) -> bytes:
    data = b""
    for chunk in chunks:
        data += chunk
        if len(data) >= 8 + MAX_HEADER_BYTES:
            break
    return data


def _safetensors(data: bytes) -> tuple[tuple[int, ...], Any, bytes]:
    """Shape, order and bytes of the one tensor."""
    header = _header(data)
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise _unreadable("The file's metadata are no names with texts")
    if list(header) != [DELTA_W]:
        raise _unreadable(f"The file holds {len(header)} tensors, or one of another name than {DELTA_W}")
    entry = header[DELTA_W]
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _unreadable("The tensor is not described as safetensors are")
    if entry["dtype"] != "F32":
        raise _unreadable(f"The tensor's kind of number is {str(entry['dtype'])[:20]!r}, not 'F32'")
    numbers = data[8 + _length(data) :]
    if not _are_sizes(entry["shape"]) or entry["data_offsets"] != [0, len(numbers)]:
        raise _unreadable("The tensor's sizes and place are not those of the numbers in the file")
    return tuple(entry["shape"]), "C", numbers


def _header(data: bytes) -> dict[str, Any]:
    """What a safetensors file says of itself. Raises UnreadableVector."""
    length = _length(data)
    if not 2 <= length <= MAX_HEADER_BYTES or 8 + length > len(data):
        raise _unreadable(
            f"The file is no .npy file, and as safetensors its header would have {length} bytes"
        )
    try:
        header = json.loads(data[8 : 8 + length].decode("utf-8"), object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise _unreadable("The header of the safetensors file cannot be read")
    return header


def _length(data: bytes) -> int:
    return int.from_bytes(data[:8], "little")


def _each_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a name stands there twice")
    return found


def _are_sizes(shape: object) -> bool:
    return isinstance(shape, list) and len(shape) <= 3 and all(type(size) is int for size in shape)


def _npy(data: bytes) -> tuple[tuple[int, ...], Any, bytes]:
    """Shape, order and bytes of the array. The header, which NumPy evaluates, is matched."""
    version = data[6] if len(data) > 6 else 0
    if version not in _NPY_LENGTH_BYTES:
        raise _unreadable(f"The .npy file is of version {version}; 1 to 3 are known")
    begin = 8 + _NPY_LENGTH_BYTES[version]
    end = begin + int.from_bytes(data[8:begin], "little")
    found = _NPY_HEADER.fullmatch(data[begin:end].decode("latin-1")) if end <= len(data) else None
    if found is None:
        raise _unreadable("The header of the .npy file is not that of one plain array")
    kind, fortran, sizes = found.groups()
    if kind != "<f4":
        raise _unreadable(f"The array's kind of number is {kind!r}, not '<f4'")
    texts = [size for size in sizes.replace(" ", "").split(",") if size]
    if len(texts) > 3 or any(len(size) > 9 for size in texts):
        raise _unreadable("The array has too many sizes, or too large ones")
    return tuple(map(int, texts)), "F" if fortran == "True" else "C", data[end:]


def _unreadable(found: str) -> UnreadableVector:
    return UnreadableVector(f"{found}.", expected=EXPECTED)
