"""A batch as the API shows it."""

import time
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from api.job_view import latest_progress, moment
from api.paging import PageView
from api.service import stores
from storage.batch_records import CHUNK, Batch, BatchStatus, Tally
from storage.records import Job, Priority


class BatchFileView(BaseModel):
    url: str
    byte_size: int
    sha256: str


class Counts(BaseModel):
    items: int = Field(description="Valid inputs.")
    invalid: int = Field(description="Inputs that were refused, and left out.")
    succeeded: int
    failed: int
    canceled: int
    reused: int = Field(description="Of those that succeeded, the ones whose result was there already.")
    running: int = Field(description="Done in chunks that still run, as their workers say.")
    left: int


class WorkerView(BaseModel):
    worker: str | None
    chunk: int
    done: int
    items: int
    items_per_s: float | None


class Preview(BaseModel):
    id: str
    url: str


class BatchView(BaseModel):
    id: str
    status: BatchStatus
    paused: bool
    cancel_requested: bool
    priority: Priority
    spec: dict[str, Any] = Field(description="What was asked for, defaults included.")
    counts: Counts
    chunks: int = Field(description="Pieces that the items were cut into; each is claimed as a job is.")
    chunks_ended: int
    errors: dict[str, int] = Field(description="How many items failed, by error code.")
    items_per_s: float | None = Field(description="Now, where workers say; else since the inputs were read.")
    seconds_left: float | None
    device_s: float = Field(description="Device seconds spent, of chunks that have ended.")
    busy_share: float | None = Field(description="Of the time that chunks took, how much the device worked.")
    workers: list[WorkerView] | None = Field(description="Who works on it now; null in lists.")
    previews: list[Preview] | None = Field(description="Pictures that were made last; null in lists.")
    files: dict[str, BatchFileView] = Field(description="JSON Lines: items, invalid, results, errors.")
    archive_url: str | None = Field(description="All results as one zip (or tar), once it has ended.")
    result: dict[str, Any]
    error: dict[str, Any] | None
    keep_s: float | None
    retry_of: str | None = Field(description="The batch whose left-over items these are.")
    created_at: datetime
    validated_at: datetime | None
    ended_at: datetime | None
    updated_at: datetime
    outputs_expired_at: datetime | None
    url: str
    events_url: str


class BatchPage(PageView):
    items: list[BatchView]


def batch_view(batch: Batch, *, in_list: bool = False) -> BatchView:
    tally, url = stores().batches.tally(batch.id), f"/v1/batches/{batch.id}"
    workers = [] if in_list or batch.status.ended else _workers(batch)
    counts = _counts(batch, tally, sum(worker.done for worker in workers))
    items_per_s = _rate(batch, counts, workers)
    return BatchView(
        id=batch.id,
        status=batch.status,
        paused=batch.paused,
        cancel_requested=batch.cancel_requested,
        priority=batch.priority,
        spec=batch.spec,
        counts=counts,
        chunks=batch.chunks,
        chunks_ended=tally.chunks,
        errors=tally.errors,
        items_per_s=items_per_s,
        seconds_left=round(counts.left / items_per_s, 1) if items_per_s and not batch.status.ended else None,
        device_s=round(tally.device_s, 3),
        busy_share=round(tally.device_s / tally.seconds, 3) if tally.seconds else None,
        workers=None if in_list else workers,
        previews=None if in_list else _previews(batch),
        files={
            role: BatchFileView(url=f"{url}/files/{role}", byte_size=ref.byte_size, sha256=ref.sha256)
            for role, ref in sorted(batch.files.items())
        },
        archive_url=f"{url}/archive" if "results" in batch.files else None,
        result=batch.result,
        error=batch.error,
        keep_s=batch.keep_s,
        retry_of=batch.retry_of,
        created_at=_at(batch.created_at),
        validated_at=moment(batch.validated_at),
        ended_at=moment(batch.ended_at),
        updated_at=_at(batch.updated_at),
        outputs_expired_at=moment(batch.outputs_expired_at),
        url=url,
        events_url=f"{url}/events",
    )


def _at(seconds: float) -> datetime:
    found = moment(seconds)
    assert found is not None
    return found


def _counts(batch: Batch, tally: Tally, running: int) -> Counts:
    canceled = tally.canceled
    if batch.status is BatchStatus.CANCELED:
        canceled = batch.items - tally.succeeded - tally.failed  # also of chunks that never had their turn
    done = tally.succeeded + tally.failed + canceled
    return Counts(
        items=batch.items,
        invalid=batch.invalid,
        succeeded=tally.succeeded,
        failed=tally.failed,
        canceled=canceled,
        reused=tally.reused,
        running=running,
        left=max(0, batch.items - done - running),
    )


def _workers(batch: Batch) -> list[WorkerView]:
    board = stores().progress
    return [
        _worker(job, latest_progress(job, board))
        for job in stores().batches.running(batch.id)
        if job.kind == CHUNK
    ]


def _worker(job: Job, told: dict[str, Any] | None) -> WorkerView:
    told = told if told is not None and told.get("type") == "progress" else {}
    done, seconds = int(told.get("step", 0)), float(told.get("seconds", 0.0))
    return WorkerView(
        worker=job.worker,
        chunk=job.spec["chunk"],
        done=done,
        items=int(told.get("total", 0)),
        items_per_s=round(done / seconds, 2) if done and seconds else None,
    )


def _rate(batch: Batch, counts: Counts, workers: list[WorkerView]) -> float | None:
    told = [worker.items_per_s for worker in workers if worker.items_per_s]
    if told and len(told) == len(workers):
        return round(sum(told), 2)
    if batch.validated_at is None:
        return None
    since_s = (batch.ended_at or time.time()) - batch.validated_at
    done = counts.succeeded + counts.failed + counts.running
    return round(done / since_s, 2) if done and since_s > 0 else None


def _previews(batch: Batch) -> list[Preview]:
    if batch.outputs_expired_at is not None:
        return []
    newest = [
        told for job in stores().batches.newest(batch.id) for told in reversed(job.result.get("newest", []))
    ]
    return [Preview(id=told["id"], url=f"/v1/results/{told['result']}/{told['file']}") for told in newest[:8]]
