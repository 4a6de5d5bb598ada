"""A data set on its way into a sink: items in, one by one; shards, annotations, card and grid out.

Nothing but what is open stays on this machine, and nothing in memory but the grid's few pictures.
"""

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage.annotations import default_min_piece_px
from storage.dataset_specs import Written
from storage.library_records import Model
from storage.pictures import encode_png
from workers.datasets.card import About, figures
from workers.datasets.card_text import card_text
from workers.datasets.coco import Coco, add_coco, finish_coco
from workers.datasets.drafts import Drafts, Kept
from workers.datasets.grid import Grid, draw_grid
from workers.datasets.item import Classes, DatasetItem, Encoded, coco_id
from workers.datasets.pairs import add_pair
from workers.datasets.shards import add_sample
from workers.datasets.sink import JSON, LINES, Sink
from workers.datasets.split import SPLITS, split_of

ITEMS = "items"
_DRAFTS, _GRID = "drafts.", "grid."


@dataclass(frozen=True)
class Plan:
    """How a data set is written.

    formats    of coco_panoptic, coco_instance, pairs, webdataset
    fractions  of train, val and test, which add up to 1
    coco       how COCO is written, where it is
    """

    formats: frozenset[str]
    classes: Classes
    fractions: Mapping[str, float]
    coco: Coco
    shard_bytes: int = 32 << 20

    @property
    def splits(self) -> list[str]:
        return [split for split in SPLITS if self.fractions.get(split, 0) > 0]


def plan_of(written: Written, model: Model) -> Plan:
    """As it was asked for, with the parts of a model."""
    smallest = written.min_instance_px
    coco = Coco(
        panoptic="coco_panoptic" in written.formats,
        instances="coco_instance" in written.formats,
        outlines=written.instances,
        min_instance_px=default_min_piece_px(model.resolution_px) if smallest is None else smallest,
    )
    classes = Classes(model.parts, model.groups)
    formats, fractions = frozenset(written.formats), written.split.model_dump()
    return Plan(formats, classes, fractions, coco, written.shard_bytes)


class DatasetWriter:
    """Takes each item once, in any order. `keep` copies all that `restore` needs to go on to the same bytes,
    if the shards put so far are kept, too."""

    def __init__(self, sink: Sink, plan: Plan) -> None:
        self._sink, self._plan = sink, plan
        self._drafts, self._grid = Drafts(sink, plan.shard_bytes), Grid()

    @property
    def count(self) -> int:
        """Of items so far."""
        return self._drafts.lines(ITEMS).count

    def add(self, item: DatasetItem) -> None:
        plan, drafts = self._plan, self._drafts
        split, encoded = split_of(item.source, plan.fractions), Encoded(item)
        if "pairs" in plan.formats:
            add_pair(drafts, split, encoded)
        if "webdataset" in plan.formats:
            add_sample(drafts, split, encoded)
        areas, names = np.bincount(item.mask.ravel(), minlength=256), plan.classes.names
        counted = {"pixels": {names[part]: int(areas[part]) for part in np.flatnonzero(areas).tolist()}}
        if plan.coco.kinds:
            found = add_coco(drafts, split, encoded, plan.coco)
            if plan.coco.instances:
                counted["instances"] = {names[part]: found[coco_id(part)] for part in names}
        drafts.lines(ITEMS).add({"id": item.id, "split": split, **counted, **item.provenance})
        self._grid.offer(item)

    def keep(self) -> Kept:
        drafts = {_DRAFTS + name: content for name, content in self._drafts.keep().items()}
        return drafts | {_GRID + name: content for name, content in self._grid.keep().items()}

    def restore(self, kept: Kept) -> None:
        self._drafts.restore(_under(_DRAFTS, kept))
        self._grid.restore(_under(_GRID, kept))

    def finish(self, about: About) -> dict[str, Any]:
        """Put what is open, and all that can be said only now. Returns the figures of the card."""
        assert self.count, "a data set of nothing"
        plan, drafts = self._plan, self._drafts
        drafts.finish()
        info = {
            "description": about.title,
            "version": about.code_version,
            "model": about.model,
            "model_digest": about.model_digest,
            "spec_digest": about.spec_digest,
        }
        for split in plan.splits if plan.coco.kinds else []:
            finish_coco(drafts, split, plan.classes, plan.coco, info, about.licence)
        self._put_lines("items.jsonl")
        self._put_json("classes.json", {"parts": plan.classes.as_json()})
        told = {name: getattr(about, name) for name in ("model", "model_digest", "spec", "code_version")}
        grid = encode_png(draw_grid(self._grid.chosen(), plan.classes), {"editq": json.dumps(told)})
        self._sink.put("grid.png", grid, "image/png")
        found = figures(drafts.lines(ITEMS), plan.splits, plan.classes)
        card = {**about.as_json(), "formats": sorted(plan.formats), **found}
        self._put_json("card.json", card)
        self._sink.put("card.md", card_text(card).encode(), "text/markdown")
        return found

    def close(self) -> None:
        """Let go of what is open."""
        self._drafts.close()

    def _put_lines(self, name: str) -> None:
        with tempfile.TemporaryFile() as file:
            file.writelines(f"{line}\n".encode() for line in self._drafts.lines(ITEMS))
            file.seek(0)
            self._sink.put(name, file, LINES)

    def _put_json(self, name: str, members: Mapping[str, Any]) -> None:
        self._sink.put(name, json.dumps(members, indent=1).encode(), JSON)


def write_dataset(items: Iterable[DatasetItem], sink: Sink, plan: Plan, about: About) -> dict[str, Any]:
    """Write items, each taken once, as a data set. Returns the figures of the card."""
    writer = DatasetWriter(sink, plan)
    try:
        for item in items:
            writer.add(item)
        return writer.finish(about)
    finally:
        writer.close()


def _under(prefix: str, kept: Kept) -> Kept:
    own = {name: content for name, content in kept.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): content for name, content in own.items()}
