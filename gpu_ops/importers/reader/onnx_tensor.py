"""The tensors of an ONNX file: shape, kind and numbers, all within the file itself."""

import struct
from collections.abc import Sequence

from gpu_ops.importers.reader.dtypes import BYTES as NUMBER_BYTES
from gpu_ops.importers.reader.machine import Steps
from gpu_ops.importers.reader.protobuf import BYTES, Field, fields, wholes
from gpu_ops.importers.reader.tensors import Tensor, checked_tensor, in_order, product
from gpu_ops.importers.refusals import DamagedFile, ForbiddenContent, LimitExceeded, UnsupportedNetwork, shown

KINDS = {1: "F32", 2: "U8", 3: "I8", 6: "I32", 7: "I64", 9: "BOOL", 10: "F16", 11: "F64", 16: "BF16"}
_TYPED = {4: "F32", 5: "I32", 7: "I64", 10: "F64"}  # fields that hold numbers one by one, by their kind
_RAW = 9
_EXTERNAL = (13, 14)
_MOST_DIMENSIONS = 8
_PACKED = {"F32": 4, "F64": 8}


def read_tensor(data: memoryview, steps: Steps) -> tuple[str, Tensor]:
    """A tensor and its name. Raises ForbiddenContent where its numbers lie in another file."""
    name, kind, shape = "", 0, []
    numbers: dict[int, list[Field]] = {}
    for each in fields(data, steps):
        if each.number in _EXTERNAL:
            if each.number == 14 and each.whole() == 0:  # says that the numbers are here
                continue
            raise ForbiddenContent(f"the tensor {shown(name)} keeps its numbers in another file")
        if each.number == 1:
            shape += wholes(each, steps)
        elif each.number == 2:
            kind = each.whole()
        elif each.number in _TYPED or each.number == _RAW:
            numbers.setdefault(each.number, []).append(each)
        elif each.number == 8:
            name = each.text()
        elif each.number == 6:
            raise UnsupportedNetwork(f"the tensor {shown(name)} holds texts; numbers were expected")
        elif each.number not in (12, 16):
            raise UnsupportedNetwork(f"the tensor {shown(name)} has field {each.number}, which is not read")
        if len(shape) > _MOST_DIMENSIONS:
            raise LimitExceeded(
                f"a tensor declares {len(shape)} dimensions; {_MOST_DIMENSIONS} at most are read"
            )
    if kind not in KINDS:
        raise UnsupportedNetwork(f"the tensor {shown(name)} is of kind {kind}; numbers were expected")
    return name, _placed(name, KINDS[kind], tuple(shape), numbers, steps)


def tensor_of(kind: str, values: Sequence[float], *, scalar: bool = False) -> Tensor:
    """A tensor [n], or [], of a few numbers: I64 or F32."""
    data = memoryview(struct.pack(f"<{len(values)}{'q' if kind == 'I64' else 'f'}", *values))
    shape = () if scalar else (len(values),)
    return Tensor(kind, shape, in_order(shape), 0, data)


def _placed(
    name: str, kind: str, shape: tuple[int, ...], numbers: dict[int, list[Field]], steps: Steps
) -> Tensor:
    if len(numbers) > 1:
        raise DamagedFile(f"the tensor {shown(name)} holds its numbers twice")
    count = product(shape)
    if not numbers:
        data, width = memoryview(b""), 1
    else:
        ((place, found),) = numbers.items()
        if place != _RAW and _TYPED[place] != kind:
            raise UnsupportedNetwork(
                f"the tensor {shown(name)} of kind {kind} holds numbers of kind {_TYPED[place]}"
            )
        data, width = _bytes(place, found, steps), NUMBER_BYTES[kind]
    if min(shape, default=0) >= 0 and count * width != len(data):
        declared = f"the tensor {shown(name)} of shape {list(shape)} and kind {kind}"
        raise DamagedFile(f"{declared} has {len(data)} bytes of numbers")
    return checked_tensor(kind, shape, in_order(shape), 0, count, data)


def _bytes(place: int, found: list[Field], steps: Steps) -> memoryview:
    """Numbers in a row, little-endian."""
    if place == _RAW or _TYPED[place] in _PACKED:
        pieces = [each.data() if each.kind == BYTES else _fixed(each) for each in found]
        return pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))
    values = [value for each in found for value in wholes(each, steps)]
    code, bits = ("q", 64) if _TYPED[place] == "I64" else ("i", 32)
    if any(not -(1 << bits - 1) <= value < 1 << bits - 1 for value in values):
        raise DamagedFile(f"a whole number of a tensor has more than {bits} bits")
    return memoryview(struct.pack(f"<{len(values)}{code}", *values))


def _fixed(each: Field) -> memoryview:
    """One number that stands by itself."""
    if isinstance(each.value, int):
        raise DamagedFile(f"field {each.number} of a tensor is a varint")
    return each.value
