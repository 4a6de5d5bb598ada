"""A job as the API shows it."""

import hashlib
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field

from api.paging import PageView
from api.service import stores
from storage.records import MOST_AHEAD, Count, Job, Priority, Status
from storage.stores import ProgressBoard

PREVIEW = "preview"
PASSING = ("progress", "phase")  # messages of the board that a reader is shown


class OutputView(BaseModel):
    url: str
    media_type: str
    byte_size: int
    sha256: str


class Loss(BaseModel):
    attempt: int
    worker: str | None
    cause: str
    at: datetime


class WebhookView(BaseModel):
    url: str
    events: list[str]


class JobView(BaseModel):
    id: str
    kind: str
    status: Status
    spec: dict[str, Any] = Field(description="What was asked for, defaults included.")
    queue_position: int | None = Field(
        description=f"Jobs ahead of a queued one (0: next; {MOST_AHEAD}: so many or more); null in lists."
    )
    progress: dict[str, Any] | None = Field(description="The latest word of a running job's worker, if any.")
    outputs: dict[str, OutputView]
    result: dict[str, Any] = Field(description="Figures of a succeeded job.")
    error: dict[str, Any] | None = Field(description="`code` and `detail` of a failed job.")
    priority: Priority
    attempt: int = Field(description="Claims so far, the running one included.")
    failures: int = Field(description="Attempts that ended in an error of the job's own.")
    outages: int = Field(description="Attempts that ended because a part of the platform was away.")
    out_of_memory: int = Field(description="Attempts that ran out of memory.")
    lost: int = Field(description="How often its worker was lost.")
    drains: int = Field(description="How often it was put back for a worker to end, or for a higher class.")
    gpu_s: float = Field(description="Seconds for which its attempts that have ended held a GPU worker.")
    losses: list[Loss] = Field(description="What is known of each lost attempt.")
    cancel_requested: bool
    stop_requested: bool
    worker: str | None
    not_before: datetime = Field(description="No attempt begins before; later than created_at in a retry.")
    start_by: datetime | None = Field(description="A job that has not begun by then fails.")
    finish_by: datetime | None = Field(description="A job that has not ended by then fails.")
    keep_s: float | None = Field(description="How long outputs are kept; null: by the service's policy.")
    webhook: WebhookView | None
    retry_of: str | None = Field(description="The job that this one repeats.")
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    updated_at: datetime
    outputs_expired_at: datetime | None = Field(description="Since when its outputs are gone.")
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
        progress=latest_progress(job, stores().progress, in_list=in_list),
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
        priority=job.priority,
        attempt=job.attempt,
        **{count.value: getattr(job, count.value) for count in Count},
        gpu_s=round(job.gpu_s, 3),
        losses=[Loss(**loss) for loss in job.losses],
        cancel_requested=job.cancel_requested,
        stop_requested=job.stop_requested,
        worker=job.worker,
        not_before=datetime.fromtimestamp(job.not_before, UTC),
        start_by=moment(job.start_by),
        finish_by=moment(job.finish_by),
        keep_s=job.keep_s,
        webhook=WebhookView(**job.webhook) if job.webhook is not None else None,
        retry_of=job.retry_of,
        created_at=datetime.fromtimestamp(job.created_at, UTC),
        started_at=moment(job.started_at),
        ended_at=moment(job.ended_at),
        updated_at=datetime.fromtimestamp(job.updated_at, UTC),
        outputs_expired_at=moment(job.outputs_expired_at),
        url=url,
        events_url=f"{url}/events",
    )


def latest_progress(job: Job, board: ProgressBoard, *, in_list: bool = False) -> dict[str, Any] | None:
    """What the board last heard of this attempt; in lists without a picture. A rumour: it may be missing."""
    message = board.latest(job.id) if job.status is Status.RUNNING else None
    if message is None or not of_this_attempt(job, message):
        return None
    return {name: told for name, told in message.items() if not (in_list and name == PREVIEW)}


def of_this_attempt(job: Job, message: dict[str, Any]) -> bool:
    """Whether it is a word of progress, and not of an attempt that was cut off."""
    running = job.status is Status.RUNNING and message.get("attempt", job.attempt) == job.attempt
    return running and message.get("type", "progress") in PASSING


def state_tag(job: Job) -> str:
    """An entity tag of the job's state. Progress, a rumour, is no part of it, nor is the lease."""
    counts = [getattr(job, count.value) for count in Count]
    asked = (job.cancel_requested, job.stop_requested, job.priority)
    state = (job.id, job.status, job.attempt, counts, asked, job.outputs_expired_at)
    return hashlib.sha256(repr(state).encode()).hexdigest()[:24]
