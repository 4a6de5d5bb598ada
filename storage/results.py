"""What became of items, kept by what it depends on: the same item is never done twice.

A result is one object, whole or not there: a zip, uncompressed, of its pictures and masks, with what is known
of it in result.json. It is never changed. Which results are needed stands in the ledgers of batches; the
garbage collector reads those (workers/bulk/used.py).
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.errors import ObjectCorrupt, OutputNotFound
from storage.objects import result_key
from storage.stores import Objects

ABOUT = "result.json"
MEDIA_TYPE = "application/zip"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # no time of day in what the same inputs must make again


@dataclass(frozen=True)
class Found:
    """A result that is there: names of its files, and its figures."""

    files: tuple[str, ...]
    figures: dict[str, Any]


class Results:
    """The results of one tenant. Safe for threads."""

    def __init__(self, objects: Objects, tenant_id: str) -> None:
        self._objects, self._tenant_id = objects, tenant_id

    def key(self, digest: str) -> str:
        return result_key(self._tenant_id, digest)

    def put(self, digest: str, files: Mapping[str, bytes], about: Mapping[str, Any]) -> int:
        """Its bytes. about: JSON values, `figures` among them."""
        return self._objects.put(self.key(digest), packed(files, about), MEDIA_TYPE).byte_size

    def find(self, digest: str) -> Found | None:
        """None too for one that is damaged: it is made anew then."""
        opened = self.open(digest)
        return None if opened is None else opened[0]

    def open(self, digest: str) -> tuple[Found, dict[str, bytes]] | None:
        """What `find` tells, and the files, by one reading."""
        data = self._read(digest)
        if data is None:
            return None
        try:
            files = unpacked(data)
            figures = json.loads(files.pop(ABOUT))["figures"]
        except (zipfile.BadZipFile, KeyError, ValueError):
            return None
        return Found(tuple(files), figures), files

    def files(self, digest: str) -> dict[str, bytes]:
        """All files of a result. Raises OutputNotFound; ObjectCorrupt where it is damaged."""
        data = self._objects.get_range(self.key(digest))
        try:
            return unpacked(data)
        except zipfile.BadZipFile as error:
            raise ObjectCorrupt(f"Result {digest} is not what was written.") from error

    def read(self, digest: str, name: str) -> bytes | None:
        """One file of a result; None where the result, or the file, is not there."""
        data = self._read(digest)
        return None if data is None else unpacked(data).get(name)

    def _read(self, digest: str) -> bytes | None:
        try:
            return self._objects.get_range(self.key(digest))  # the zip's own checksums are the check
        except OutputNotFound:
            return None


def packed(files: Mapping[str, bytes], about: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, data in {**files, ABOUT: json.dumps(about, separators=(",", ":")).encode()}.items():
            file.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    return buffer.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    """Raises zipfile.BadZipFile."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def digest_of(depends: Mapping[str, Any]) -> str:
    """SHA-256 over all that a result depends on, as JSON."""
    return hashlib.sha256(json.dumps(depends, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
