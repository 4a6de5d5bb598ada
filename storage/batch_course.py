"""What becomes of a batch when one of its jobs ends: pure functions of the rows, for every backend.

validating -> running -> finishing -> succeeded | completed_with_errors | failed | canceled
validating -> succeeded (a dry run) | failed (nothing to do, or on_invalid: stop) | canceled
"""

from dataclasses import dataclass, field
from typing import Any

from storage.batch_records import FINISH, VALIDATE, Batch, BatchStatus, Chunk, Tally
from storage.errors import BatchEnded
from storage.plain import refs_to_dict
from storage.records import Job, Status

OUTCOME = ("succeeded", "failed", "canceled", "reused", "device_s", "seconds", "errors")
# Roles of lists; files of a data set go by their own names.
FILES = {
    VALIDATE: {"items.jsonl": "items", "invalid.jsonl": "invalid"},
    FINISH: {"results.jsonl": "results", "errors.jsonl": "errors"},
}
"""Roles of what a batch's jobs leave. Files of a data set, `items.jsonl` among them, go by their names."""


@dataclass(frozen=True, slots=True)
class Course:
    """Columns of the batch to set, and what is to be queued then: so many chunks, or the finish."""

    values: dict[str, Any] = field(default_factory=dict)
    chunks: int = 0
    finish: bool = False


def ended(batch: Batch, job: Job, now: Any, *, more: bool, tally: Tally) -> Course:
    """After a job of an open batch has ended, its chunk's row written.

    more   whether there are chunks that have not ended: those that still will be queued among them
    tally  the sums so far; asked for when the finish has ended
    """
    if job.kind == VALIDATE:
        return _validated(batch, job, now)
    if job.kind == FINISH:
        return _finished(batch, job, now, tally)
    if more or batch.status is not BatchStatus.RUNNING:
        return Course()
    return all_done()


def all_done() -> Course:
    return Course({"status": BatchStatus.FINISHING.value}, finish=True)


def _validated(batch: Batch, job: Job, now: Any) -> Course:
    if job.status is not Status.SUCCEEDED:
        return _end(_as_job(job), now, {"error": job.error})
    counts = {name: job.result[name] for name in ("items", "invalid", "chunks")}
    values = {**counts, "files": _files(batch, job), "validated_at": now}
    result = {name: told for name, told in job.result.items() if name not in counts}
    if batch.spec.get("dry_run"):
        return _end(BatchStatus.SUCCEEDED, now, values | {"result": result})
    if counts["invalid"] and batch.spec.get("on_invalid") == "stop":
        return _end(BatchStatus.FAILED, now, values | {"result": result, "error": _refused(counts)})
    if not counts["items"]:
        return _end(BatchStatus.FAILED, now, values | {"result": result, "error": _empty(counts)})
    return Course(values | {"status": BatchStatus.RUNNING.value, "result": result}, chunks=batch.ready)


def _finished(batch: Batch, job: Job, now: Any, tally: Tally) -> Course:
    if job.status is Status.FAILED:
        return _end(BatchStatus.FAILED, now, {"error": job.error})
    verdict = _verdict(batch, tally)
    error = _all_failed(tally) if verdict is BatchStatus.FAILED else None
    values = {"files": _files(batch, job), "result": batch.result | job.result, "error": error}
    return _end(verdict, now, values)


def _verdict(batch: Batch, tally: Tally) -> BatchStatus:
    if batch.cancel_requested:
        return BatchStatus.CANCELED
    if not tally.succeeded:
        return BatchStatus.FAILED
    flawed = tally.failed or tally.canceled or batch.invalid
    return BatchStatus.COMPLETED_WITH_ERRORS if flawed else BatchStatus.SUCCEEDED


def outcome(chunk: Chunk, job: Job, now: Any) -> dict[str, Any]:
    """What a chunk's row keeps of its ended job. One that failed whole counts each of its items as failed."""
    if job.status is Status.SUCCEEDED:
        wrote = job.result.get("results_bytes", 0)  # a worker of before tells of none
        return {"ended_at": now, "results_bytes": wrote, **{name: job.result[name] for name in OUTCOME}}
    if job.status is Status.CANCELED:
        return {"ended_at": now, "canceled": chunk.items}
    code = (job.error or {}).get("code", "internal_error")
    return {"ended_at": now, "failed": chunk.items, "errors": {code: chunk.items}}


def refuse_ended(batch: Batch) -> None:
    """Raises BatchEnded."""
    if batch.status.ended:
        raise BatchEnded(f"Batch {batch.id} has already {_past(batch.status)}.")


def _past(status: BatchStatus) -> str:
    return status.value.replace("_", " ")


def _as_job(job: Job) -> BatchStatus:
    return BatchStatus.CANCELED if job.status is Status.CANCELED else BatchStatus.FAILED


def _end(status: BatchStatus, now: Any, values: dict[str, Any]) -> Course:
    return Course({**values, "status": status.value, "ended_at": now})


def _files(batch: Batch, job: Job) -> dict[str, Any]:
    """As a row keeps them."""
    roles = FILES[job.kind]
    found = {roles.get(name, name): ref for name, ref in job.outputs.items()}
    return refs_to_dict(batch.files | found)


def _refused(counts: dict[str, int]) -> dict[str, Any]:
    return {
        "code": "invalid_items",
        "detail": f"{counts['invalid']} inputs are not as they should be, so nothing was begun.",
        "field": "inputs",
        "expected": "the list invalid.jsonl says what was wrong with each; on_invalid: skip leaves them out",
    }


def _all_failed(tally: Tally) -> dict[str, Any]:
    code = max(tally.errors, key=lambda code: tally.errors[code], default="internal_error")
    return {"code": code, "detail": f"None of its items succeeded; most of them failed as {code}."}


def _empty(counts: dict[str, int]) -> dict[str, Any]:
    told = f"none of its {counts['invalid']} inputs is valid" if counts["invalid"] else "it names no input"
    return {
        "code": "empty_batch",
        "detail": f"There is nothing to do: {told}.",
        "field": "inputs",
        "expected": "at least one valid input",
    }
