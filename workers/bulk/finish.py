"""finish_batch: the ledgers that chunks left, merged into one list of results and one of errors.

Done by housekeeping's workers, a ledger at a time: no torch, and no more memory for a million items than
for a thousand.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from gpu_ops.progress import Progress, State, Steps
from storage.batch_records import Batch, Chunk
from storage.batch_specs import read_batch_spec
from storage.errors import ObjectCorrupt
from storage.library_records import Model
from storage.manifests import sent_again
from storage.plain import plain
from storage.results import Results
from storage.stores import Stores
from workers.attempt import Attempt, Saved
from workers.bulk.items import read_items
from workers.bulk.labelled import about_of, items_of
from workers.datasets.writing import DatasetWriter, plan_of
from workers.recipe import Recipe
from workers.recipes.dataset_sink import AttemptSink

LINES = "application/jsonl"
CANCELED = {"code": "canceled", "detail": "The batch was canceled before this item's turn."}


@dataclass
class Merging:
    """dataset: where what succeeded is written to as well, if that is asked for."""

    batch: Batch
    stores: Stores
    model: Model
    dataset: DatasetWriter | None
    results: BinaryIO
    errors: BinaryIO
    counts: dict[str, int] = field(default_factory=dict)


def load(attempt: Attempt) -> Merging:
    batch = attempt.stores.batches.get(attempt.job.tenant_id, attempt.job.spec["batch"])
    files = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115  they live as long as the merging
    spec = read_batch_spec(batch.spec)
    model = attempt.stores.library.get_model(batch.tenant_id, spec.wanted.model)
    written = spec.dataset and plan_of(spec.dataset, model)
    dataset = DatasetWriter(AttemptSink(attempt), written) if written else None
    return Merging(batch, attempt.stores, model, dataset, *files)  # type: ignore[arg-type]


def operate(merging: Merging, _resume: State | None) -> Steps[Merging]:
    """A merging that was cut off starts over."""
    for chunk, ledger in merging.stores.batches.ledgers(merging.batch.id):
        lines = _lost(merging, chunk) if ledger is None else _lines(merging.stores.objects.get(ledger))
        for told in lines:
            merging.results.write(json.dumps(told, separators=(",", ":")).encode() + b"\n")
            if told["status"] != "succeeded":
                again = sent_again(told["item"], told["error"])
                merging.errors.write(json.dumps(again, separators=(",", ":")).encode() + b"\n")
            merging.counts[told["status"]] = merging.counts.get(told["status"], 0) + 1
        yield Progress(chunk.number + 1, merging.batch.chunks)
    if merging.dataset is not None:
        yield from _write_dataset(merging, merging.dataset)
    return merging


def _write_dataset(merging: Merging, writer: DatasetWriter) -> Steps[None]:
    """From the list of results: once more through all of it."""
    results = Results(merging.stores.objects, merging.batch.tenant_id)
    merging.results.seek(0)
    for line in merging.results:
        for item in items_of(json.loads(line), results, merging.model):
            writer.add(item)
        yield Progress(merging.batch.chunks, merging.batch.chunks)


def _lines(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.splitlines():
        yield json.loads(line)


def _lost(merging: Merging, chunk: Chunk) -> Iterator[dict[str, Any]]:
    """The items of a chunk that left nothing: it was canceled, or failed as a whole."""
    error: dict[str, Any] = CANCELED
    if chunk.errors:
        job = merging.stores.jobs.get(merging.batch.tenant_id, chunk.job_id or "")
        error = {
            "code": next(iter(chunk.errors)),
            "detail": (job.error or {}).get("detail", "The chunk failed."),
        }
    status = "failed" if chunk.errors else "canceled"
    try:
        for item in read_items(merging.batch, chunk, merging.stores):
            yield {"id": item["id"], "n": item["n"], "status": status, "error": plain(error), "item": item}
    except ObjectCorrupt:
        return  # the list of items itself is damaged: the counts tell of it


def save(attempt: Attempt, merging: Merging, _result: Merging) -> Saved:
    counted = {}
    if merging.dataset is not None:
        with closing(merging.dataset) as writer:
            if writer.count:
                counted = writer.finish(about_of(merging.batch, merging.model, merging.counts))
    for name in ("results", "errors"):
        with getattr(merging, name) as file:
            file.seek(0)
            attempt.put(f"{name}.jsonl", file, LINES)
    return Saved(attempt.outputs, {"listed": merging.counts, **({"dataset": counted} if counted else {})})


RECIPE = Recipe(load, operate, save)
