"""finish_batch: the parts that chunks left, merged into one list of results and one of errors.

Done by housekeeping's workers, a part at a time: no torch, and no more memory for a million items than for a
thousand.
"""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from gpu_ops.progress import Progress, State, Steps
from storage.batch_records import Batch, Chunk
from storage.errors import ObjectCorrupt
from storage.manifests import sent_again
from storage.plain import plain
from storage.stores import Stores
from workers.attempt import Attempt, Saved
from workers.bulk.items import read_items
from workers.recipe import Recipe

LINES = "application/jsonl"
CANCELED = {"code": "canceled", "detail": "The batch was canceled before this item's turn."}


@dataclass
class Merging:
    batch: Batch
    stores: Stores
    results: BinaryIO
    errors: BinaryIO
    counts: dict[str, int] = field(default_factory=dict)


def load(attempt: Attempt) -> Merging:
    batch = attempt.stores.batches.get(attempt.job.tenant_id, attempt.job.spec["batch"])
    files = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115  they live as long as the merging
    return Merging(batch, attempt.stores, *files)  # type: ignore[arg-type]


def operate(merging: Merging, _resume: State | None) -> Steps[Merging]:
    """A merging that was cut off starts over."""
    for chunk, part in merging.stores.batches.parts(merging.batch.id):
        lines = (
            _lost(merging, chunk) if part is None else _lines(b"".join(merging.stores.objects.stream(part)))
        )
        for told in lines:
            merging.results.write(json.dumps(told, separators=(",", ":")).encode() + b"\n")
            if told["status"] != "succeeded":
                again = sent_again(told["item"], told["error"])
                merging.errors.write(json.dumps(again, separators=(",", ":")).encode() + b"\n")
            merging.counts[told["status"]] = merging.counts.get(told["status"], 0) + 1
        yield Progress(chunk.number + 1, merging.batch.chunks)
    return merging


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
    for name in ("results", "errors"):
        with getattr(merging, name) as file:
            file.seek(0)
            attempt.put(f"{name}.jsonl", file, LINES)
    return Saved(attempt.outputs, {"listed": merging.counts})


RECIPE = Recipe(load, operate, save)
