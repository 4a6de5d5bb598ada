"""Tar files of bounded size, one after the other. The same members give the same bytes."""

import tarfile
import tempfile
from collections.abc import Sequence
from typing import BinaryIO

from workers.datasets.sink import TAR, Sink

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)


class TarShards:
    """<name>-0000.tar, <name>-0001.tar ... Only the open one is on this machine, in a file without a name."""

    def __init__(self, name: str, sink: Sink, most_bytes: int) -> None:
        self._name, self._sink, self._most_bytes = name, sink, most_bytes
        self._file: BinaryIO | None = None
        self.number = 0  # of the open one
        self._bytes = 0

    def add(self, members: Sequence[tuple[str, bytes]]) -> None:
        """Members (path, content) that belong together, in one shard; alone in it they may be larger."""
        framed = [_framed(path, content) for path, content in members]
        more = sum(map(len, framed))
        if self._bytes and self._bytes + more + len(END) > self._most_bytes:
            self.finish()
        self._write(b"".join(framed))

    def finish(self) -> None:
        """Put the open shard, if there is one."""
        if self._file is None or not self._bytes:
            return
        self._write(END)
        self._file.seek(0)
        self._sink.put(f"{self._name}-{self.number:04d}.tar", self._file, TAR)
        self.close()
        self.number += 1

    def content(self) -> bytes:
        """Of the open shard so far."""
        if self._file is None:
            return b""
        self._file.seek(0)
        return self._file.read()

    def restore(self, number: int, content: bytes) -> None:
        self.close()
        self.number = number
        self._write(content)

    def close(self) -> None:
        """Let go of the open shard."""
        if self._file is not None:
            self._file.close()
        self._file, self._bytes = None, 0

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  closed with its shard
        self._file.seek(0, 2)
        self._bytes += self._file.write(data)


def _framed(path: str, content: bytes) -> bytes:
    """Header, content and padding. No time, no owner: nothing that differs from one run to the next."""
    info = tarfile.TarInfo(path)
    info.size = len(content)
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % BLOCK)
