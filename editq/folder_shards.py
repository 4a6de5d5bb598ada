"""Pictures of a folder as tars of about 32 MiB, read as they are sent: no more is held than a block.

The same folder makes the same bytes: members are sorted and carry no times, owners or rights. A shard whose
pictures do not all go by their paths begins with `names.jsonl`, which says what each of them was called; a
service reads over it.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from editq.folder_pictures import Picture
from storage.errors import InvalidInput

SHARD_BYTES = 32 << 20
MOST_SHARDS = 9_000  # a batch takes 10,000 files
NAMES = "names.jsonl"
_BLOCK_BYTES = 1 << 20
_END = b"\0" * (2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class Shard:
    number: int
    pictures: tuple[Picture, ...]

    def blocks(self) -> Iterator[bytes]:
        """The tar. Raises InvalidInput where a file cannot be read, or is not as long as it was."""
        names = self._names()
        if names:
            yield _header(NAMES, len(names)) + names + _padding(len(names))
        for picture in self.pictures:
            yield _header(picture.id, picture.byte_size)
            yield from _content(picture)
            yield _padding(picture.byte_size)
        yield _END

    def pieces(self) -> Iterator[bytes]:
        """The same in pieces of about a megabyte, to be sent."""
        waiting = bytearray()
        for block in self.blocks():
            waiting += block
            if len(waiting) >= _BLOCK_BYTES:
                yield bytes(waiting)
                waiting.clear()
        yield bytes(waiting)

    def measured(self) -> tuple[str, int]:
        """SHA-256 of the tar, and its size in bytes."""
        digest, byte_size = hashlib.sha256(), 0
        for block in self.blocks():
            digest.update(block)
            byte_size += len(block)
        return digest.hexdigest(), byte_size

    def _names(self) -> bytes:
        told = ({"id": p.id, "path": p.name} for p in self.pictures if p.id != p.name)
        return b"".join(json.dumps(line).encode() + b"\n" for line in told)


def cut(pictures: Iterable[Picture], *, shard_bytes: int = SHARD_BYTES) -> Iterator[Shard]:
    """Shards of so many bytes or a little more: a picture is never divided."""
    pending: list[Picture] = []
    number = byte_size = 0
    for picture in pictures:
        pending.append(picture)
        byte_size += tar_bytes(picture.byte_size)
        if byte_size >= shard_bytes:
            yield Shard(number, tuple(pending))
            number, byte_size = number + 1, 0
            pending.clear()
    if pending:
        yield Shard(number, tuple(pending))


def shard_bytes_for(byte_size: int, pictures: int) -> int:
    """Of a folder with so much in it: larger than usual where there would be too many shards."""
    return max(SHARD_BYTES, -(-(byte_size + pictures * 2 * tarfile.BLOCKSIZE) // MOST_SHARDS))


def tar_bytes(byte_size: int) -> int:
    """What a member of this size takes, its header with it."""
    return tarfile.BLOCKSIZE + byte_size + len(_padding(byte_size))


def _header(name: str, byte_size: int) -> bytes:
    member = tarfile.TarInfo(name)  # its times and owners are 0, its rights 0644
    member.size = byte_size
    return member.tobuf(tarfile.PAX_FORMAT)


def _padding(byte_size: int) -> bytes:
    return b"\0" * (-byte_size % tarfile.BLOCKSIZE)


def _content(picture: Picture) -> Iterator[bytes]:
    left = picture.byte_size
    try:
        with open(picture.path, "rb", buffering=0) as file:
            while block := file.read(min(_BLOCK_BYTES, left + 1)):
                left -= len(block)
                if left < 0:
                    break
                yield block
    except OSError as error:
        raise InvalidInput(f"{picture.path} cannot be read: {error.strerror}.", field="folder") from error
    if left:
        raise InvalidInput(f"{picture.path} was changed while it was read.", field="folder")
