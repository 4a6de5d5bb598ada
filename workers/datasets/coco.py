"""COCO: pictures and panoptic PNGs in tar shards, annotations of each split in one JSON file of either kind.

    <split>/<id>.png            the picture
    panoptic_<split>/<id>.png   red + 256 * green is a segment's id: the COCO category of the part

Every part is a category. Panoptic segments are parts; instances are the connected pieces of parts (neighbours
by a side or a corner). What the JSON files hold is written as it comes, and never lies in memory whole.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from storage.masks import Mask
from storage.pictures import encode_png
from workers.datasets.drafts import Drafts
from workers.datasets.item import Classes, Encoded, Picture, coco_id
from workers.datasets.lines import Lines
from workers.datasets.outline import outline
from workers.datasets.rle import encode_rle
from workers.datasets.sink import JSON

Outlines = Literal["rle", "polygons"]
AROUND = np.ones((3, 3), bool)
PANOPTIC, INSTANCES = "panoptic", "instances"


@dataclass(frozen=True)
class Coco:
    """How COCO is written.

    min_instance_px  smaller pieces are no instances; panoptic segments hold them all the same
    """

    panoptic: bool
    instances: bool
    outlines: Outlines = "rle"
    min_instance_px: int = 1

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, asked in ((PANOPTIC, self.panoptic), (INSTANCES, self.instances)) if asked]


def add_coco(drafts: Drafts, split: str, encoded: Encoded, how: Coco) -> Counter[int]:
    """Returns how many instances there are of each part, by its category."""
    item, counts = encoded.item, Counter[int]()
    images, file_name = drafts.lines(images_of(split)), f"{item.id}.png"
    height, width = item.mask.shape
    members = [(f"{split}/{file_name}", encoded.picture_png)]
    about = {"file_name": file_name, "width": width, "height": height, "license": 1}
    images.add({"id": images.count + 1, **about, "provenance": dict(item.provenance)})
    if how.panoptic:
        members.append((f"panoptic_{split}/{file_name}", encode_png(panoptic_picture(item.mask))))
        told = {"image_id": images.count, "file_name": file_name, "segments_info": segments(item.mask)}
        drafts.lines(annotations_of(split, PANOPTIC)).add(told)
    if how.instances:
        annotations = drafts.lines(annotations_of(split, INSTANCES))
        for found in instances(item.mask, how.min_instance_px, how.outlines):
            annotations.add({"id": annotations.count + 1, "image_id": images.count, **found})
            counts[found["category_id"]] += 1
    drafts.tar(f"coco-{split}").add(members)
    return counts


def images_of(split: str) -> str:
    return f"coco-{split}-images"


def annotations_of(split: str, kind: str) -> str:
    return f"coco-{split}-{kind}"


def panoptic_picture(mask: Mask) -> Picture:
    """uint8 [H, W, 3] whose red + 256 * green is the COCO category of each pixel."""
    ids = mask.astype(np.uint16) + coco_id(0)
    shown: Picture = np.stack([ids & 255, ids >> 8, np.zeros_like(ids)], axis=2).astype(np.uint8)
    return shown


def segments(mask: Mask) -> list[dict[str, Any]]:
    """One for each part that is there, by id."""
    areas = np.bincount(mask.ravel(), minlength=256)
    return [
        {
            "id": coco_id(part),
            "category_id": coco_id(part),
            "area": int(areas[part]),
            "bbox": _box(place),
            "iscrowd": 0,
        }
        for part, place in enumerate(ndimage.find_objects(mask.astype(np.uint16) + 1))
        if place is not None
    ]


def instances(mask: Mask, min_px: int, outlines: Outlines) -> Iterator[dict[str, Any]]:
    """The pieces of at least min_px pixels, by part and then from the top; all but ids."""
    for part, place in enumerate(ndimage.find_objects(mask.astype(np.uint16) + 1)):
        if place is None:
            continue
        pieces, _ = ndimage.label(mask[place] == part, structure=AROUND)
        for number, own in enumerate(ndimage.find_objects(pieces), start=1):
            piece: NDArray[np.bool_] = pieces[own] == number
            area = int(np.count_nonzero(piece))
            if area < min_px:
                continue
            top, left = place[0].start + own[0].start, place[1].start + own[1].start
            shape = (mask.shape[0], mask.shape[1])
            drawn: Any = (
                encode_rle(shape, top, left, piece) if outlines == "rle" else [outline(top, left, piece)]
            )
            box = [left, top, piece.shape[1], piece.shape[0]]
            yield {
                "category_id": coco_id(part),
                "area": area,
                "bbox": box,
                "iscrowd": 0,
                "segmentation": drawn,
            }


def _box(place: tuple[slice, slice]) -> list[int]:
    """x, y, width, height."""
    rows, columns = place
    return [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]


def finish_coco(
    drafts: Drafts, split: str, classes: Classes, how: Coco, info: Mapping[str, Any], licence: str
) -> None:
    """Put coco-<split>-panoptic.json and coco-<split>-instances.json, as asked for."""
    for kind in how.kinds:
        head = {
            "info": dict(info),
            "licenses": [{"id": 1, "name": licence, "url": ""}],
            "categories": _categories(classes, kind),
        }
        lists = {
            "images": drafts.lines(images_of(split)),
            "annotations": drafts.lines(annotations_of(split, kind)),
        }
        with tempfile.TemporaryFile() as file:
            _write(file, head, lists)
            file.seek(0)
            drafts.sink.put(f"coco-{split}-{kind}.json", file, JSON)


def _categories(classes: Classes, kind: str) -> list[dict[str, Any]]:
    found = []
    for part in classes.as_json():
        about = {"id": part["coco_id"], "name": part["name"], "color": part["colour"]}
        group = part["groups"][0] if part["groups"] else "part"
        thing = {"isthing": 0} if kind == PANOPTIC else {}  # a part is one segment, in however many pieces
        found.append({**about, "supercategory": group, **thing})
    return found


def _write(file: BinaryIO, head: Mapping[str, Any], lists: Mapping[str, Lines]) -> None:
    file.write(json.dumps(head)[:-1].encode())
    for name, lines in lists.items():
        file.write(f',\n"{name}": ['.encode())
        between = b"\n"
        for line in lines:
            file.write(between + line.encode())
            between = b",\n"
        file.write(b"]")
    file.write(b"}\n")
