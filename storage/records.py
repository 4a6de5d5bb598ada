"""What is remembered, as frozen values, and which status of a job may follow which.

Times are seconds since the epoch (UTC) on the database's clock.
"""

import secrets
import threading
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")

SYSTEM_TENANT = "system"
LOCAL_TENANT = "local"

GPU_QUEUE = "gpu"  # jobs
CPU_QUEUE = (
    "cpu"  # the reading of batches' inputs, and merging of their results; who listens to it keeps house
)


MOST_AHEAD = 100  # as far as a job's place in its queue is counted

_id_lock = threading.Lock()
_last_id = 0


def new_id() -> str:
    """32 hexadecimal digits that sort by the time they were made, the last 20 of them random.

    Those of one process also sort within a millisecond, which is as fine as SQLite's clock is: the next one
    is then the last one plus a random step.
    """
    global _last_id
    with _id_lock:
        fresh = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(79)
        _last_id = fresh if fresh >> 80 > _last_id >> 80 else _last_id + 1 + secrets.randbits(48)
        return f"{_last_id:032x}"


class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def ended(self) -> bool:
        return not FOLLOWS[self]


FOLLOWS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.CANCELED, Status.FAILED}),
    Status.RUNNING: frozenset({Status.QUEUED, Status.SUCCEEDED, Status.FAILED, Status.CANCELED}),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELED: frozenset(),
}


class Priority(StrEnum):
    """Classes of work. A job that has waited for the ageing time counts as one class higher."""

    INTERACTIVE = "interactive"
    STANDARD = "standard"
    BULK = "bulk"

    @property
    def rank(self) -> int:
        """0 is served first."""
        return list(Priority).index(self)


class Count(StrEnum):
    """What a requeued attempt is counted as: columns of the row. Each has its own limit, drains none."""

    FAILURES = "failures"  # an error of the job's own
    OUTAGES = "outages"  # a part of the platform was away
    OUT_OF_MEMORY = "out_of_memory"
    LOST = "lost"  # its worker died, or was cut off
    DRAINS = "drains"  # its worker was told to end, or it gave way to a job of a higher class


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object that was written: its key, and what a reader checks the bytes against."""

    key: str
    sha256: str
    byte_size: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Image:
    """An uploaded picture, or a mask (role), kept exactly as it was sent."""

    id: str
    tenant_id: str
    role: Literal["picture", "mask"]
    object: ObjectRef
    width_px: int
    height_px: int
    filename: str | None
    created_at: float


@dataclass(frozen=True, slots=True)
class Job:
    """One spec and what became of it. `attempt` is the fence: it only counts up.

    `losses` tells of each lost attempt: {attempt, worker, cause, at}. `webhook` is {url, events}. `gpu_s`:
    how long its ended attempts held a GPU worker. `trace`: the W3C traceparent that it was added under.
    """

    id: str
    tenant_id: str
    kind: str
    queue: str
    spec: dict[str, Any]
    priority: Priority
    status: Status
    attempt: int
    failures: int
    outages: int
    out_of_memory: int
    lost: int
    drains: int
    losses: list[dict[str, Any]]
    cancel_requested: bool
    stop_requested: bool
    not_before: float
    start_by: float | None
    finish_by: float | None
    keep_s: float | None
    webhook: dict[str, Any] | None
    retry_of: str | None
    worker: str | None
    worker_pid: int | None
    lease_until: float | None
    checkpoint: ObjectRef | None
    outputs: dict[str, ObjectRef]
    result: dict[str, Any]
    error: dict[str, Any] | None
    created_at: float
    started_at: float | None
    ended_at: float | None
    updated_at: float
    outputs_expired_at: float | None
    batch_id: str | None = None  # of one of the jobs that a batch consists of
    claimed_at: float | None = None  # of the running attempt
    gpu_s: float = 0.0
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one attempt of a job: (job.id, job.attempt, token) is checked by every write."""

    job: Job
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a renewal brings back from the row."""

    lease_until: float
    cancel_requested: bool
    stop_requested: bool
    draining: bool  # the worker was told to take no more work, and to put this back


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's name for one submit, and the digest of what was submitted under it."""

    key: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, counted: of `queued` rows, `eligible` ones could be claimed now."""

    name: str
    paused: bool
    queued: int
    eligible: int
    running: int
    oldest_created_at: float | None  # of those queued


@dataclass(frozen=True, slots=True)
class Standing:
    """Jobs of one queue and kind that wait, or run. Of those that a claim could take: how many, and for how
    long the one that has waited longest could have been taken (seconds)."""

    queue: str
    kind: str
    status: Status
    jobs: int
    eligible: int = 0
    longest_wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tenant's jobs of one kind came to on one day (UTC; days since the epoch): how many ended, how
    many attempts did, and for how long these held a GPU worker."""

    tenant_id: str
    day: int
    kind: str
    jobs: int
    attempts: int
    gpu_s: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook call to make: an event of a job, under one id however often it is tried."""

    id: str
    tenant_id: str
    job_id: str
    event_number: int
    type: str
    url: str
    body: str
    status: Literal["pending", "delivered", "failed"]
    tries: int
    next_at: float
    last_error: str | None
    created_at: float
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class Event:
    """A change of a job's state, numbered from 1 within the job."""

    job_id: str
    number: int
    type: str
    data: dict[str, Any]
    created_at: float


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: tuple[T, ...]
    next_cursor: str | None
