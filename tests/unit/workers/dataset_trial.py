"""Data sets of random pictures, to be written and read again."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from storage.library_records import Part
from workers.datasets.card import About
from workers.datasets.coco import Coco
from workers.datasets.item import Classes, DatasetItem
from workers.datasets.writing import Plan

SIZE = (20, 28)
PARTS = tuple(Part(index, f"part{index}", (40 * index, 10, 200)) for index in (0, 1, 2, 3, 5))
CLASSES = Classes(PARTS, {"pair": ("part2", "part3")})
FRACTIONS = {"train": 0.6, "val": 0.2, "test": 0.2}
ALL = frozenset({"coco_panoptic", "coco_instance", "pairs", "webdataset"})
ABOUT = About(
    "Noise", "none | at all", "cars", "d" * 64, "0", {"seed": 1}, "e" * 64, SIZE[::-1], 40, 40, {"balance": 2}
)


def plan(formats: frozenset[str] = ALL, shard_bytes: int = 1 << 20, **coco: Any) -> Plan:
    kinds = {"panoptic": "coco_panoptic" in formats, "instances": "coco_instance" in formats}
    return Plan(formats, CLASSES, FRACTIONS, Coco(**kinds, **coco), shard_bytes)


def a_mask(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Blocks and specks of parts: pieces of all shapes, with holes, some touching at a corner."""
    rng = np.random.default_rng(seed)
    ids = np.array([part.id for part in PARTS], np.uint8)
    coarse = rng.choice(ids, (size[0] // 4 + 1, size[1] // 4 + 1))
    mask = coarse.repeat(4, axis=0).repeat(4, axis=1)[: size[0], : size[1]].copy()
    specks = rng.random(size) < 0.1
    mask[specks] = rng.choice(ids, int(specks.sum()))
    return mask


def an_item(seed: int, uncertainty: float = 0.1) -> DatasetItem:
    picture = np.random.default_rng(seed).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    use = {"vector": "a" * 32, "strength": seed / 10}
    told = {"seed": seed, "uncertainty": uncertainty, "vectors": [use]}
    return DatasetItem(f"{seed:04d}", f"noise:{seed}", picture, a_mask(seed), told)


def some_items(count: int) -> Iterator[DatasetItem]:
    """Each is made when it is asked for, and there only once."""
    return (an_item(seed) for seed in range(count))


def members(folder: Path, prefix: str) -> dict[str, bytes]:
    """What all tar files of a prefix hold together."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.glob(f"{prefix}*.tar")):
        with tarfile.open(path) as tar:
            for member in tar.getmembers():
                assert member.name not in found
                file = tar.extractfile(member)
                assert file is not None
                found[member.name] = file.read()
    return found


def array(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())
