"""The pictures below a folder, in an order that does not change, and the ids that they go by in a batch.

Left aside, and told of: what is hidden, links that lead out of the folder, links to folders (their pictures
are found where they are), and what is no picture by its ending. No file is opened.

An id is the path below the folder. Where that is no id, it is made fit: characters that are not allowed
become _, what is too long is cut, and `.fit-` with 16 digits of the path's SHA-256 comes before the ending.
A file that is called so already is made fit itself, so no two paths have one id.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from storage.batch_specs import ITEM_ID
from storage.errors import InvalidInput

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
"""What a service takes for a picture (storage/manifests.py)."""
HIDDEN, LEADS_OUT, TO_FOLDER, BROKEN = "hidden", "links that lead out", "links to folders", "broken links"
NO_FILE, NO_PICTURE = "no plain files", "no pictures"
_FITTED = re.compile(r"\.fit-[0-9a-f]{16}\.[A-Za-z]+")
_MOST_SEGMENTS, _LONGEST_SEGMENT = 8, 120
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Picture:
    """`name`: its path below the folder, divided by /."""

    name: str
    path: str
    byte_size: int

    @property
    def id(self) -> str:
        return item_id(self.name)


@dataclass
class Folder:
    """What a walk has found. left_aside: how many of each reason; examples: some of their names."""

    path: Path
    pictures: int = 0
    byte_size: int = 0
    renamed: int = 0
    left_aside: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def leave(self, reason: str, name: str) -> None:
        self.left_aside[reason] = self.left_aside.get(reason, 0) + 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < _SHOWN:
            shown.append(name)

    def count(self, picture: Picture) -> None:
        self.pictures += 1
        self.byte_size += picture.byte_size
        self.renamed += picture.id != picture.name


def walk(folder: Folder) -> Iterator[Picture]:
    """Its pictures, sorted by path; the folder keeps the counts. Raises InvalidInput where it cannot be
    read."""
    root = os.path.realpath(folder.path)
    open_folders = [iter(_entries(root))]
    while open_folders:
        entry = next(open_folders[-1], None)
        if entry is None:
            open_folders.pop()
            continue
        name = os.path.relpath(entry.path, root)
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            open_folders.append(iter(_entries(entry.path)))
            continue
        reason, byte_size = _judged(entry, root)
        if reason is not None:
            folder.leave(reason, name)
        else:
            picture = Picture(name, entry.path, byte_size)
            folder.count(picture)
            yield picture


def look_through(path: Path) -> Folder:
    """What there is to send. Raises InvalidInput."""
    folder = Folder(path)
    for _ in walk(folder):
        pass
    return folder


def fitted_names(path: Path) -> Iterator[tuple[str, str]]:
    """(id, path below the folder) of the pictures whose ids are not their paths."""
    return ((picture.id, picture.name) for picture in walk(Folder(path)) if picture.id != picture.name)


def item_id(name: str) -> str:
    """The id of the picture at this path below its folder."""
    if ITEM_ID.fullmatch(name) and not _FITTED.search(name):
        return name
    *folders, last = name.split("/")
    stem, _, ending = last.rpartition(".")
    tail = f".fit-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}.{ending}"
    kept = [_fit(segment)[:_LONGEST_SEGMENT] for segment in folders[: _MOST_SEGMENTS - 1]]
    return "/".join([*kept, _fit(stem)[: _LONGEST_SEGMENT - len(tail)] + tail])


def _fit(segment: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", segment)
    return plain if re.match(r"[A-Za-z0-9_]", plain) else f"_{plain}"


def _entries(folder: str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise InvalidInput(f"{folder} cannot be read: {error.strerror}.", field="folder") from error


def _judged(entry: "os.DirEntry[str]", root: str) -> tuple[str | None, int]:
    """Why an entry that is no folder is left aside, or None and its size in bytes."""
    if entry.name.startswith("."):
        return HIDDEN, 0
    try:
        leads_to = os.path.realpath(entry.path, strict=True) if entry.is_symlink() else root
        if leads_to != root and not leads_to.startswith(root + os.sep):
            return LEADS_OUT, 0
        found = entry.stat()
    except OSError:  # it leads nowhere, or in a circle
        return BROKEN, 0
    if stat.S_ISDIR(found.st_mode):
        return TO_FOLDER, 0
    if not stat.S_ISREG(found.st_mode):
        return NO_FILE, 0
    return (None, found.st_size) if entry.name.lower().endswith(ENDINGS) else (NO_PICTURE, 0)
