"""What a data set is made of: pictures with masks and their provenance, and the parts that masks hold."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.library_records import Part
from storage.masks import Mask
from storage.pictures import encode_png

Picture = NDArray[np.uint8]
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # no dot: WebDataset's keys end at the first one


@dataclass(frozen=True)
class DatasetItem:
    """One labelled picture.

    id          what its files are named by; unique in the data set, of letters, digits, - and _
    source      what it was drawn from: items of one source are of one split, in whatever data set
    picture     uint8 [H, W, 3]
    mask        uint8 [H, W], part ids
    provenance  JSON: whatever is to be known of it; `uncertainty` and `vectors` are summed up in the card
    """

    id: str
    source: str
    picture: Picture
    mask: Mask
    provenance: Mapping[str, Any]

    def __post_init__(self) -> None:
        assert _ID.fullmatch(self.id), self.id
        assert self.picture.dtype == self.mask.dtype == np.uint8
        assert self.picture.shape == (*self.mask.shape, 3)


@dataclass(frozen=True)
class Classes:
    """The parts that masks may hold. A part's COCO category is its id + 1: 0 is COCO's word for nothing."""

    parts: tuple[Part, ...]
    groups: Mapping[str, Sequence[str]]

    @cached_property
    def names(self) -> dict[int, str]:
        return {part.id: part.name for part in self.parts}

    @cached_property
    def palette(self) -> Picture:
        """Colours uint8 [256, 3] by part id."""
        colours = np.zeros((256, 3), np.uint8)
        for part in self.parts:
            colours[part.id] = part.colour
        return colours

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                "id": part.id,
                "name": part.name,
                "colour": list(part.colour),
                "coco_id": coco_id(part.id),
                "groups": sorted(name for name, members in self.groups.items() if part.name in members),
            }
            for part in self.parts
        ]


def coco_id(part_id: int) -> int:
    return part_id + 1


@dataclass(frozen=True)
class Encoded:
    """An item as files, each made once however many formats want it."""

    item: DatasetItem

    @cached_property
    def picture_png(self) -> bytes:
        return encode_png(self.item.picture)

    @cached_property
    def mask_png(self) -> bytes:
        """Grey: a palette would be applied by many a reader, which then sees colours in place of part ids."""
        return encode_png(self.item.mask)

    @cached_property
    def provenance_json(self) -> bytes:
        return json.dumps(self.item.provenance, separators=(",", ":")).encode()
