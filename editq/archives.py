"""Archives as they come from a service: whole or refused, and unpacked without trust in their names."""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from storage.errors import InvalidInput, Unavailable

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_MOST_SEGMENTS = 9  # of an item's id, and the file's name
_END_BYTES = 2 * tarfile.BLOCKSIZE
_COPIED_BYTES = 1 << 20


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is there once it is whole. Raises InvalidInput where there is one already."""
    if path.exists():
        raise InvalidInput(f"{path} is there already.")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with draft.open("xb") as file:
            yield file
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def check_whole(path: Path, format: str) -> None:
    """Raises Unavailable for a zip or tar whose end is missing: not every server can say that it was cut
    off."""
    try:
        if format == "zip":
            zipfile.ZipFile(path).close()
            return
        with tarfile.open(path, "r:") as tar:
            for _ in _members(tar):
                pass
            ended = tar.offset
        with path.open("rb") as file:
            file.seek(ended)
            if file.read(_END_BYTES + 1) == bytes(_END_BYTES):
                return
    except (zipfile.BadZipFile, tarfile.TarError):
        pass
    raise Unavailable("the archive was cut off: ask for it once more")


def checked_name(name: str) -> str:
    """Raises InvalidInput for what is no plain file's name."""
    if not _SEGMENT.fullmatch(name):
        raise InvalidInput(f"{name[:200]!r} is no name for a file.")
    return name


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack_tar(pieces: Iterator[bytes], folder: Path) -> int:
    """Write a tar's files below a new folder, as they come; the folder is there once all are. How many they
    are.

    Raises InvalidInput where the folder is there already, and for a tar with names that no item has, two
    files of one name, or anything but plain files; Unavailable for one that was cut off.
    """
    if folder.exists():
        raise InvalidInput(f"{folder} is there already.")
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    draft.mkdir(parents=True)
    stream = _Stream(pieces)
    try:
        with tarfile.open(fileobj=cast("BinaryIO", stream), mode="r|", bufsize=_COPIED_BYTES) as tar:
            count = 0
            for member in _members(tar):
                _unpack(tar, member, draft)
                count += 1
            stream.finish(tar.offset)
        draft.rename(folder)
    except tarfile.TarError as error:
        raise Unavailable(f"the archive was cut off, or is damaged: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return count


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := tar.next()) is not None:
        tar.members = []  # type: ignore[attr-defined]  # it would keep them, of millions
        yield member


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, root: Path) -> None:
    segments = member.name.split("/")
    if not member.isreg() or member.issparse():
        raise _refused(member.name, "it is no plain file")
    if len(segments) > _MOST_SEGMENTS or not all(map(_SEGMENT.fullmatch, segments)):
        raise _refused(member.name, "no item has such a name")
    data = tar.extractfile(member)
    assert data is not None
    path = root.joinpath(*segments)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            shutil.copyfileobj(data, file, _COPIED_BYTES)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise _refused(member.name, "there is another of this name") from None


def _refused(name: str, why: str) -> InvalidInput:
    return InvalidInput(f"The archive is not unpacked: it holds {name[:200]!r}, and {why}.")


class _Stream:
    """What tarfile reads of; knows how much has come, and how it ended."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest, self._tail, self._came = pieces, b"", b"", 0

    def read(self, size: int) -> bytes:
        while len(self._rest) < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self._rest += piece
            self._came += len(piece)
            self._tail = (self._tail + piece[-_END_BYTES:])[-_END_BYTES:]
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def finish(self, offset: int) -> None:
        """Raises Unavailable unless after `offset`, where the members ended, came the end of a tar."""
        while self.read(_COPIED_BYTES):
            pass
        if self._came - offset != _END_BYTES or self._tail != bytes(_END_BYTES):
            raise Unavailable("the archive was cut off: ask for it once more")
