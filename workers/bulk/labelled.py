"""What a batch has made, as a labelled data set: pictures of its results with their masks."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from storage.batch_records import Batch
from storage.batch_specs import BatchSpec
from storage.dataset_specs import MOST_ITEMS
from storage.decoders import decode_mask, decode_picture
from storage.errors import InvalidInput
from storage.library_records import Model
from storage.results import Results
from storage.version import code_version
from workers.datasets.card import About
from workers.datasets.item import DatasetItem

# Which pictures of a result are items, and the masks that go with them, by how their names begin.
PAIRS = {"picture_": "mask_", "edited.png": "edited_mask.png", "inverted.png": "mask.png"}


def check_size(spec: BatchSpec, items: int) -> None:
    """Raises InvalidInput where the data set would be larger than one job can write."""
    pictures = items * len(getattr(spec.wanted, "sweep", (1.0,)))
    if spec.dataset is not None and pictures > MOST_ITEMS:
        raise InvalidInput(
            f"A data set of {pictures} pictures is too large.",
            field="dataset",
            expected=f"at most {MOST_ITEMS} pictures; take several batches",
        )


def items_of(told: Mapping[str, Any], results: Results, model: Model) -> Iterator[DatasetItem]:
    """The pictures of one item's result; none of one that has failed. `told`: its line of results."""
    if told["status"] != "succeeded":
        return
    files = results.files(told["result"])
    for column, (picture, mask) in enumerate(pairs(told["files"])):
        provenance = {
            "item": told["id"],
            "line": told["n"],
            "result": told["result"],
            "picture": picture,
            "model": model.name,
            "model_digest": model.digest,
            "code_version": code_version(),
            "vectors": _strengths(told, column),
        }
        yield DatasetItem(
            f"{told['n']:07d}-{column:02d}",
            _source(told, model),
            decode_picture(files[picture]),
            decode_mask(files[mask]),
            provenance,
        )


def pairs(names: list[str]) -> Iterator[tuple[str, str]]:
    """(picture, mask) of a result's files: of an edit the edited one alone."""
    for beginning, its_mask in PAIRS.items():
        found = sorted(name for name in names if name.startswith(beginning))
        if found:
            yield from ((name, name.replace(beginning, its_mask, 1)) for name in found)
            return


def _strengths(told: Mapping[str, Any], column: int) -> list[dict[str, Any]]:
    strengths, sweep = told["figures"].get("strengths", {}), told["figures"].get("sweep", [1.0])
    factor = sweep[column] if column < len(sweep) else 1.0
    return [{"vector": name, "strength": round(each * factor, 6)} for name, each in strengths.items()]


def _source(told: Mapping[str, Any], model: Model) -> str:
    """What a picture is of, whatever was done to it: all of one go into one split, in every data set."""
    item = told["item"]
    if "seed" in item:
        return f"{model.generator_sha256}:{item['seed']}"
    named = next(str(item[name]) for name in ("sha256", "image", "key", "file") if name in item)
    return f"{named}:{item.get('at', 0)}"


def about_of(batch: Batch, model: Model, counts: Mapping[str, int]) -> About:
    """counts: items by what became of them."""
    asked = json.dumps(batch.spec, sort_keys=True)
    failed = {status: count for status, count in counts.items() if status != "succeeded"}
    return About(
        title=f"Batch {batch.id}: labelled pictures of {model.name}",
        licence=str(model.card.get("license", "not stated")),
        model=model.name,
        model_digest=model.digest,
        code_version=code_version(),
        spec=batch.spec,
        spec_digest=hashlib.sha256(asked.encode()).hexdigest(),
        size_px=(model.resolution_px, model.resolution_px),
        asked=batch.items,
        drawn=sum(counts.values()),
        rejected=failed,
    )
