"""Protocol Buffers as they lie in a file: numbered fields, read one after another. Nothing is believed of
their meaning, and every field costs a step.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from gpu_ops.importers.reader.machine import Steps
from gpu_ops.importers.refusals import DamagedFile, ForbiddenContent

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIZES = {FIXED64: 8, FIXED32: 4}
_MOST_VARINT_BYTES = 10


@dataclass(frozen=True, slots=True)
class Field:
    """value: an unsigned number where kind is VARINT, otherwise bytes."""

    number: int
    kind: int
    value: int | memoryview

    def whole(self) -> int:
        """A signed 64-bit number."""
        if not isinstance(self.value, int):
            raise DamagedFile(f"field {self.number} holds bytes; a whole number was expected")
        return signed(self.value)

    def data(self) -> memoryview:
        if self.kind != BYTES or isinstance(self.value, int):
            raise DamagedFile(f"field {self.number} holds a number; bytes were expected")
        return self.value

    def text(self, most: int = 1000) -> str:
        """Text of at most so many bytes, the rest cut off."""
        return self.data()[:most].tobytes().decode("utf-8", "replace")

    def real(self) -> float:
        if self.kind != FIXED32 or isinstance(self.value, int):
            raise DamagedFile(f"field {self.number} is no 32-bit number")
        (found,) = struct.unpack("<f", self.value)
        return float(found)


def fields(data: memoryview, steps: Steps) -> Iterator[Field]:
    """The fields of one message. Raises DamagedFile where it ends early, ForbiddenContent for groups."""
    at, end = 0, len(data)
    while at < end:
        steps.spend()
        tag, at = varint(data, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise DamagedFile("a field has the number 0")
        if kind == VARINT:
            value, at = varint(data, at)
            yield Field(number, kind, value)
            continue
        if kind == BYTES:
            size, at = varint(data, at)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise ForbiddenContent(f"field {number} is a group, or of no known kind; no ONNX file has such")
        if size > end - at:
            raise DamagedFile(f"field {number} declares {size} bytes; {end - at} follow")
        yield Field(number, kind, data[at : at + size])
        at += size


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number, and where the next thing begins."""
    value = 0
    for index in range(_MOST_VARINT_BYTES):
        if at + index >= len(data):
            raise DamagedFile("the file ends within a number")
        byte = data[at + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value & (1 << 64) - 1, at + index + 1
    raise DamagedFile("a number has more than ten bytes")


def signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def wholes(field: Field, steps: Steps) -> list[int]:
    """The numbers of a repeated field: one, or many in a row."""
    if field.kind == VARINT:
        return [field.whole()]
    data, found, at = field.data(), [], 0
    while at < len(data):
        steps.spend()
        value, at = varint(data, at)
        found.append(signed(value))
    return found
