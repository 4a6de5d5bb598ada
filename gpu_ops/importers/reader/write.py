"""Tensors as a safetensors file, which the parent reads with a library that executes nothing."""

import json
import os

from gpu_ops.importers.reader.contents import Contents
from gpu_ops.importers.reader.dtypes import BYTES

FACTS = "contents"
_PIECE = 1 << 24


def write_contents(descriptor: int, contents: Contents) -> None:
    """Write tensors, format and facts. A tensor not in C's order goes flat, with its strides."""
    views = {}
    header: dict[str, object] = {}
    pieces: list[memoryview] = []
    at = 0
    # safetensors wants larger kinds first, so that each begins at a multiple of its size
    for name, tensor in sorted(contents.tensors.items(), key=lambda item: -BYTES[item[1].kind]):
        shape = tensor.shape
        if not tensor.is_plain:
            views[name] = [list(tensor.shape), list(tensor.stride)]
            shape = (tensor.extent,)
        numbers = tensor.numbers()
        header[name] = {
            "dtype": tensor.kind,
            "shape": list(shape),
            "data_offsets": [at, at + len(numbers)],
        }
        pieces.append(numbers)
        at += len(numbers)
    facts = {"format": contents.format, "facts": contents.facts, "views": views}
    header["__metadata__"] = {FACTS: json.dumps(facts)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    for piece in (memoryview(len(text).to_bytes(8, "little")), memoryview(text), *pieces):
        _write(descriptor, piece)


def _write(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data[:_PIECE]) :]
