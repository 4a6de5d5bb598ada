"""Lines of JSON in the order they came, compressed on the way into a file without a name.

So the annotations of a hundred thousand pictures take no memory, and little room in a checkpoint.
"""

import json
import tempfile
import zlib
from collections.abc import Iterator
from typing import Any

BLOCK_CHARACTERS = 1 << 18
_LENGTH_BYTES = 4


class Lines:
    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  closed by close()
        self._waiting: list[str] = []
        self._characters = 0
        self.count = 0

    def add(self, value: Any) -> None:
        line = json.dumps(value, separators=(",", ":"))
        self._waiting.append(line)
        self._characters += len(line)
        self.count += 1
        if self._characters >= BLOCK_CHARACTERS:
            self._compress()

    def __iter__(self) -> Iterator[str]:
        self._compress()
        self._file.seek(0)
        while length := self._file.read(_LENGTH_BYTES):
            block = self._file.read(int.from_bytes(length, "little"))
            yield from zlib.decompress(block).decode().split("\n")

    def content(self) -> bytes:
        """All of it, compressed."""
        self._compress()
        self._file.seek(0)
        return self._file.read()

    def restore(self, count: int, content: bytes) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.write(content)
        self._waiting, self._characters, self.count = [], 0, count

    def close(self) -> None:
        self._file.close()

    def _compress(self) -> None:
        if self._waiting:
            block = zlib.compress("\n".join(self._waiting).encode())
            self._file.seek(0, 2)
            self._file.write(len(block).to_bytes(_LENGTH_BYTES, "little") + block)
            self._waiting, self._characters = [], 0
