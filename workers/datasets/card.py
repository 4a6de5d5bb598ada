"""The data card: what a data set holds, counted, and where it comes from (in words: card_text.py)."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from workers.datasets.item import Classes

HISTOGRAM_BINS = 10


@dataclass(frozen=True)
class About:
    """Where a data set comes from, and what was left out of it.

    licence   of the model, in whatever words it has them
    spec      JSON: what was asked for; its SHA-256 is spec_digest
    asked     how many items were to be drawn; `drawn`: how many were
    rejected  by the reason
    vectors   {vector, name, strength: [low, high]} each
    """

    title: str
    licence: str
    model: str
    model_digest: str
    code_version: str
    spec: Mapping[str, Any]
    spec_digest: str
    size_px: tuple[int, int]
    asked: int
    drawn: int
    rejected: Mapping[str, int]
    vectors: Sequence[Mapping[str, Any]] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def figures(items: Iterable[str], splits: Sequence[str], classes: Classes) -> dict[str, Any]:
    """What can be counted of a data set.

    items  lines of JSON: id, split, pixels by part, instances by part where they were told apart, and the
           item's provenance
    """
    names = [part.name for part in classes.parts]
    counts = dict.fromkeys(splits, 0)
    showing = {name: dict.fromkeys(splits, 0) for name in names}
    areas, instances = Counter[str](), Counter[str]()
    unsure: list[float] = []
    strengths: dict[str, list[float]] = {}
    for line in items:
        item = json.loads(line)
        counts[item["split"]] += 1
        for name in item["pixels"]:
            showing[name][item["split"]] += 1
        areas.update(item["pixels"])
        instances.update(item.get("instances", {}))
        unsure += [item["uncertainty"]] if "uncertainty" in item else []
        for use in item.get("vectors", ()):
            strengths.setdefault(use["vector"], []).append(use["strength"])
    total = areas.total()
    parts = [
        {"id": part.id, "name": part.name, "items": showing[part.name]}
        | {"pixels": areas[part.name], "share": round(areas[part.name] / total, 6)}
        | ({"instances": instances[part.name]} if part.name in instances else {})
        for part in classes.parts
    ]
    return {
        "items": sum(counts.values()),
        "splits": counts,
        "parts": parts,
        "uncertainty": _spread(unsure),
        "strengths": {vector: _spread(drawn) for vector, drawn in sorted(strengths.items())},
    }


def _spread(values: Sequence[float]) -> dict[str, Any] | None:
    """Least, median, most, and how many lie in each of ten equal steps between."""
    if not values:
        return None
    least, median, most = (round(float(np.quantile(values, share)), 6) for share in (0, 0.5, 1))
    counts, _ = np.histogram(values, bins=HISTOGRAM_BINS)
    return {"least": least, "median": median, "most": most, "histogram": counts.tolist()}
