"""A data set's shards as they come from a service, unpacked without trust in what they hold."""

import re
import shutil
import tarfile
from pathlib import Path

from storage.errors import InvalidInput, Unavailable

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_MOST_SEGMENTS = 4
_COPIED_BYTES = 1 << 20


def unpack(shard: Path, folder: Path) -> int:
    """Write a tar's files below a folder; how many they are. Nothing is overwritten.

    Raises InvalidInput for anything but plain files, for names that could lead elsewhere, and for files that
    are there already; Unavailable for a tar that is damaged.
    """
    count = 0
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                _write(tar, member, folder)
                count += 1
    except tarfile.TarError as error:
        raise Unavailable(f"{shard.name} is damaged: {error}") from error
    return count


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    segments = member.name.split("/")
    if not member.isreg() or member.issparse():
        raise _refused(member.name, "it is no plain file")
    if len(segments) > _MOST_SEGMENTS or not all(map(_SEGMENT.fullmatch, segments)):
        raise _refused(member.name, "no file of a data set has such a name")
    path = folder.joinpath(*segments)
    data = tar.extractfile(member)
    assert data is not None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.parent.resolve().is_relative_to(folder.resolve()):
            raise _refused(member.name, "a link leads out of the folder there")
        with path.open("xb") as file:
            shutil.copyfileobj(data, file, _COPIED_BYTES)
    except (FileExistsError, NotADirectoryError):
        raise _refused(member.name, "there is another of this name") from None


def _refused(name: str, why: str) -> InvalidInput:
    return InvalidInput(f"The shard is not unpacked: it holds {name[:200]!r}, and {why}.")
