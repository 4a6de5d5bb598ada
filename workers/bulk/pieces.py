"""The items of a chunk as an operation takes them: bytes fetched, decoded, cut to the model's size."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpu_ops.picture import Picture, to_square
from storage.decoders import decode_picture
from storage.errors import EditqError, ObjectCorrupt, PictureTooLarge, Unavailable
from storage.results import Found, Results
from storage.sources import Source
from storage.stores import Objects


@dataclass(frozen=True)
class Piece:
    """An item to be done. picture uint8 [R, R, 3]; None for a sample.

    known  what the operation's `known` has found of it
    """

    index: int
    item: dict[str, Any]
    picture: Picture | None
    digest: str
    known: Any = None


@dataclass(frozen=True)
class There:
    """An item whose result is there already."""

    index: int
    digest: str
    found: Found


@dataclass(frozen=True)
class Fault:
    """An item that cannot be done, and why."""

    index: int
    error: EditqError


@dataclass(frozen=True)
class Reader:
    """Reads items; safe for threads. digest_of, known: as an Operation has them."""

    objects: Objects
    source: Source | None
    results: Results
    digest_of: Callable[[dict[str, Any], Picture | None], str]
    known: Callable[[Picture], Any]
    size_px: int
    max_bytes: int
    max_pixels: int
    reuse: bool = True

    def read(self, indexed: tuple[int, dict[str, Any]]) -> Piece | There | Fault:
        """What is wrong with an item is its fault alone. Raises Unavailable where a store is away."""
        index, item = indexed
        try:
            picture = None if "seed" in item else self._picture(item)
        except ObjectCorrupt as error:
            return Fault(index, error)
        except Unavailable:
            raise
        except EditqError as error:
            return Fault(index, error)
        digest = self.digest_of(item, picture)
        found = self.results.find(digest) if self.reuse else None
        if found is not None:
            return There(index, digest, found)
        return Piece(index, item, picture, digest, None if picture is None else self.known(picture))

    def _picture(self, item: dict[str, Any]) -> Picture:
        square = to_square(decode_picture(self._bytes(item), self.max_pixels), self.size_px)
        return np.array(square)  # a copy: torch warns of arrays that it may not write to

    def _bytes(self, item: dict[str, Any]) -> bytes:
        if "key" in item:
            assert self.source is not None, "an item with a key has a source"
            return self.source.read(item["key"], max_bytes=self.max_bytes)
        data = self.objects.get_range(item["object"], item.get("at", 0), self._size(item))
        if "sha256" in item and hashlib.sha256(data).hexdigest() != item["sha256"]:
            raise ObjectCorrupt(f"Object {item['object']} is not what was uploaded.")
        return data

    def _size(self, item: dict[str, Any]) -> int:
        size = int(item["bytes"])
        if size > self.max_bytes:
            raise PictureTooLarge(f"{size} bytes are too many.", expected=f"at most {self.max_bytes} bytes")
        return size
