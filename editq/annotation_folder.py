"""A folder of annotations: pictures, masks to be painted, and annotations.json, which says what is what.

annotations.json   {"model", "parts", "annotations": [{"picture", "mask", "seed", "truncation_psi"}]}
other pairs        NAME.png (or .jpg, .webp) beside NAME.mask.png: photographs that you annotated yourself
"""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from storage.annotations import colour
from storage.library_records import Part
from storage.masks import decode_mask, encode_mask

LISTING, MASK_ENDING = "annotations.json", ".mask.png"
PICTURES = {".png", ".jpg", ".jpeg", ".webp"}


@dataclass(frozen=True)
class Pair:
    """A picture's file and its mask's; of a sample of the model, which one it is."""

    picture: Path
    mask: Path
    seed: int | None = None
    truncation_psi: float = 0.7

    def painted(self, parts: Sequence[str]) -> bytes | None:
        """The mask, indexed, where it has more than one part. Raises ValueError for a colour of no part."""
        if not self.mask.is_file():
            return None
        data = indexed(self.mask.read_bytes(), parts, self.mask.name)
        return data if len(np.unique(decode_mask(data))) > 1 else None


def indexed(data: bytes, parts: Sequence[str], name: str) -> bytes:
    """A mask as it was painted. Where a program has made colours of the ids, they become ids again.

    Raises ValueError, naming the file, where a colour is that of no part.
    """
    with Image.open(io.BytesIO(data)) as image:
        if image.mode in ("P", "L", "1"):
            return data
        pixels = np.asarray(image.convert("RGB")).astype(int)
    ids = np.full(pixels.shape[:2], -1)
    for index in range(len(parts)):
        ids[(pixels == colour(index)).all(axis=2)] = index
    if (ids < 0).any():
        row, column = np.argwhere(ids < 0)[0]
        red, green, blue = pixels[row, column]
        raise ValueError(f"{name}: {red}, {green}, {blue} at {column}, {row} is the colour of no part")
    return encode_mask(ids.astype(np.uint8), palette_of(parts))


def palette_of(parts: Sequence[str]) -> list[Part]:
    return [Part(index, name, colour(index)) for index, name in enumerate(parts)]


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, by name; masks are none."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    return sorted(path for path in found if not path.name.endswith(MASK_ENDING))


def write_listing(folder: Path, model: str, parts: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    listing = {"model": model, "parts": list(parts), "annotations": list(rows)}
    (folder / LISTING).write_text(json.dumps(listing, indent=2) + "\n")


def read_listing(folder: Path) -> tuple[dict[str, Any], list[Pair]]:
    """What annotations.json says ({} where there is none), and all pairs of the folder."""
    listing: dict[str, Any] = {}
    if (folder / LISTING).is_file():
        listing = json.loads((folder / LISTING).read_text())
    rows = listing.get("annotations", [])
    pairs = [
        Pair(folder / row["picture"], folder / row["mask"], row.get("seed"), row.get("truncation_psi", 0.7))
        for row in rows
    ]
    return listing, pairs + list(_beside(folder))


def _beside(folder: Path) -> Iterator[Pair]:
    for mask in sorted(folder.glob(f"*{MASK_ENDING}")):
        name = mask.name.removesuffix(MASK_ENDING)
        for picture in pictures_in(folder):
            if picture.stem == name:
                yield Pair(picture, mask)


def with_palette(mask: bytes, parts: Sequence[str], *, blank: bool) -> bytes:
    """The mask, or a blank one of its size, in a palette that has a colour for each part to be painted."""
    ids = decode_mask(mask)
    if blank:
        ids = np.zeros_like(ids)
    return encode_mask(ids, palette_of(parts))


def key_of(parts: Sequence[str]) -> bytes:
    """A PNG with a band of each part's colour, in the order of their ids, to pick colours from."""
    band = np.repeat(np.arange(len(parts), dtype=np.uint8), 24)[:, None].repeat(96, axis=1)
    return encode_mask(band, palette_of(parts))
