"""The data card: what a data set holds, counted, and where it comes from (in words: card_text.py)."""

import json
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


def figures(
    items: Iterable[str], splits: Sequence[str], classes: Classes, instances: Mapping[str, int] | None
) -> dict[str, Any]:
    """What can be counted of a data set.

    items      lines of JSON: id, split, pixels by part, and the item's provenance
    instances  of each part, in all splits together
    """
    names = [part.name for part in classes.parts]
    counts = dict.fromkeys(splits, 0)
    showing = {name: dict.fromkeys(splits, 0) for name in names}
    pixels = dict.fromkeys(names, 0)
    unsure: list[float] = []
    strengths: dict[str, list[float]] = {}
    for line in items:
        item = json.loads(line)
        counts[item["split"]] += 1
        for name, area in item["pixels"].items():
            showing[name][item["split"]] += 1
            pixels[name] += area
        if "uncertainty" in item:
            unsure.append(item["uncertainty"])
        for use in item.get("vectors", ()):
            strengths.setdefault(use["vector"], []).append(use["strength"])
    total = sum(pixels.values())
    parts = [
        {
            "id": part.id,
            "name": part.name,
            "items": showing[part.name],
            "pixels": pixels[part.name],
            "share": round(pixels[part.name] / total, 6),
            **({} if instances is None else {"instances": instances[part.name]}),
        }
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
