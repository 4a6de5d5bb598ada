"""A job as the API shows it."""

import hashlib
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field

from api.paging import PageView
from api.service import stores
from storage.records import Job, Status
from storage.stores import ProgressBoard


class OutputView(BaseModel):
    url: str
    media_type: str
    byte_size: int
    sha256: str


class JobView(BaseModel):
    id: str
    kind: str
    status: Status
    spec: dict[str, Any] = Field(description="What was asked for, defaults included.")
    queue_position: int | None = Field(description="Jobs ahead of a queued one (0: next); null in lists.")
    progress: dict[str, Any] | None = Field(description="The latest word of a running job's worker, if any.")
    outputs: dict[str, OutputView]
    result: dict[str, Any] = Field(description="Figures of a succeeded job.")
    error: dict[str, Any] | None = Field(description="`code` and `detail` of a failed job.")
    attempt: int = Field(description="Claims so far, the running one included.")
    failures: int
    lost: int = Field(description="How often its worker was lost.")
    cancel_requested: bool
    worker: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    updated_at: datetime
    url: str
    events_url: str


class JobPage(PageView):
    items: list[JobView]


def moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def job_view(job: Job, *, in_list: bool = False) -> JobView:
    url = f"/v1/jobs/{job.id}"
    queued = job.status is Status.QUEUED and not in_list
    return JobView(
        id=job.id,
        kind=job.kind,
        status=job.status,
        spec=job.spec,
        queue_position=stores().jobs.position(job) if queued else None,
        progress=latest_progress(job, stores().progress),
        outputs={
            name: OutputView(
                url=f"{url}/outputs/{name}",
                media_type=ref.media_type,
                byte_size=ref.byte_size,
                sha256=ref.sha256,
            )
            for name, ref in sorted(job.outputs.items())
        },
        result=job.result,
        error=job.error,
        attempt=job.attempt,
        failures=job.failures,
        lost=job.lost,
        cancel_requested=job.cancel_requested,
        worker=job.worker,
        created_at=datetime.fromtimestamp(job.created_at, UTC),
        started_at=moment(job.started_at),
        ended_at=moment(job.ended_at),
        updated_at=datetime.fromtimestamp(job.updated_at, UTC),
        url=url,
        events_url=f"{url}/events",
    )


def latest_progress(job: Job, board: ProgressBoard) -> dict[str, Any] | None:
    """What the board last heard of this attempt. A rumour: it may be missing."""
    if job.status is not Status.RUNNING:
        return None
    return of_this_attempt(job, board.latest(job.id))


def of_this_attempt(job: Job, message: dict[str, Any] | None) -> dict[str, Any] | None:
    """None for words of an attempt that was cut off."""
    return message if message is not None and message.get("attempt", job.attempt) == job.attempt else None


def state_tag(job: Job) -> str:
    """An entity tag of the job's state. Progress, a rumour, is no part of it, nor is the lease."""
    state = (job.id, job.status, job.attempt, job.failures, job.lost, job.cancel_requested)
    return hashlib.sha256(repr(state).encode()).hexdigest()[:24]
