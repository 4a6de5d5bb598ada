"""The in-memory rows of jobs, and what is seen of them as queues. The lock is for all memory twins that share
these rows: jobs, outbox, retention.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from storage.library_records import NOTHING_KEPT, Kept
from storage.photographs import pasted_from
from storage.plain import plain
from storage.records import (
    GPU_QUEUE,
    MOST_AHEAD,
    Delivery,
    Event,
    Job,
    Priority,
    Queue,
    Standing,
    Status,
    Usage,
)
from storage.usage import added, used

RowTest = Callable[["MemoryRow"], bool]


@dataclass
class MemoryRow:
    job: Job
    token: str | None = None
    ended_token: str | None = None
    events: list[Event] = field(default_factory=list)


@dataclass
class MemoryKey:
    """An idempotency key that was used."""

    sha256: str
    job_id: str
    created_at: float


class MemoryQueues:
    """`clock` stands for the database's: tests may set it forward."""

    def __init__(self, *, ageing_s: float = 600.0, clock: Callable[[], float] = time.time) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.rows: dict[str, MemoryRow] = {}
        self.deliveries: dict[str, Delivery] = {}  # by id, oldest first
        self.keys: dict[tuple[str, str], MemoryKey] = {}  # by tenant and key
        self.keep: Callable[[Job, Kept], None] = _keep_nothing  # a library puts its own here
        # and batches theirs: after a claim, after a change of status; and whether a batch is paused
        self.batch_claimed: Callable[[Job], None] = _nothing_follows
        self.batch_changed: Callable[[Job], None] = _nothing_follows
        self.batch_paused: Callable[[str], bool] = lambda _batch_id: False
        self.open_batch_naming: Callable[[str, str | None], str | None] = lambda _thing, _tenant: None
        self.full_tenants: Callable[[str], frozenset[str]] = lambda _queue: frozenset()  # limits put theirs
        self.results_bytes: Callable[[str], int] = lambda _tenant_id: 0  # and batches theirs
        self._ageing_s = ageing_s
        self._turns: dict[tuple[str, str], int] = {}  # the number of the claim that served a tenant last
        self._paused: set[str] = set()
        self._drained: set[str] = set()
        self.used: dict[tuple[int, str, str], Usage] = {}  # by day, tenant and kind

    def eligible(self, queue: str) -> int:
        with self.lock:
            return len(self._eligible(queue))

    def position(self, job: Job) -> int:
        return min(MOST_AHEAD, sum(self.ahead(job).values()))

    def ahead(self, job: Job) -> dict[Priority, int]:
        with self.lock:
            now, own = self.clock(), self.rows.get(job.id)
            counts = dict.fromkeys(Priority, 0)
            if own is None:
                return counts
            place = (self._rank(own.job, now), job.created_at, job.id)
            for other in self._waiting(job.queue, now):
                rank = self._rank(other, now)
                if (rank, other.created_at, other.id) < place:
                    counts[list(Priority)[rank]] += 1
            return counts

    def outranked(self, job: Job, *, waited_s: float = 0.0) -> bool:
        with self.lock:
            now, own = self.clock(), self.rows.get(job.id)
            if job.batch_id is not None and self.batch_paused(job.batch_id):
                return True
            return own is not None and any(
                other.not_before <= now - waited_s and self._rank(other, now) < self._rank(own.job, now)
                for other in self._eligible(job.queue)
            )

    def running(self) -> tuple[Job, ...]:
        with self.lock:
            jobs = [copy_of(row.job) for row in self.rows.values() if row.job.status is Status.RUNNING]
        return tuple(sorted(jobs, key=lambda job: (job.worker, job.id)))

    def queues(self) -> tuple[Queue, ...]:
        with self.lock:
            in_use = {row.job.queue for row in self.rows.values() if not row.job.status.ended}
            return tuple(self._queue(name) for name in sorted({GPU_QUEUE, *self._paused, *in_use}))

    def standing(self) -> tuple[Standing, ...]:
        with self.lock:
            now = self.clock()
            may = {job.id for job in self._all_eligible()}
            groups: dict[tuple[Status, str, str], list[Job]] = {}
            for row in self.rows.values():
                if not row.job.status.ended:
                    groups.setdefault((row.job.status, row.job.queue, row.job.kind), []).append(row.job)
            return tuple(
                Standing(queue, kind, status, len(jobs), len(waits), max(waits, default=0.0))
                for (status, queue, kind), jobs in sorted(groups.items())
                for waits in [[now - job.not_before for job in jobs if job.id in may]]
            )

    def usage(self, tenant_id: str | None, *, since_day: int) -> tuple[Usage, ...]:
        with self.lock:
            wanted = [
                use
                for use in self.used.values()
                if tenant_id in (None, use.tenant_id) and use.day >= since_day
            ]
        return tuple(sorted(wanted, key=lambda use: (-use.day, use.tenant_id, use.kind)))

    def pause(self, queue: str, paused: bool) -> None:
        with self.lock:
            (self._paused.add if paused else self._paused.discard)(queue)

    def drain(self, worker: str, draining: bool) -> None:
        with self.lock:
            (self._drained.add if draining else self._drained.discard)(worker)

    def draining(self) -> frozenset[str]:
        with self.lock:
            return frozenset(self._drained)

    def open_job_naming(self, thing_id: str, tenant_id: str | None) -> str | None:
        """A job, or batch, that has not ended and names this thing, in whatever member of its spec; of any
        tenant where none is given."""
        with self.lock:
            for row in self.rows.values():
                mine = tenant_id in (None, row.job.tenant_id) and not row.job.status.ended
                if mine and thing_id in json.dumps(row.job.spec):
                    return row.job.id
            return self.open_batch_naming(thing_id, tenant_id)

    def open_job_pasting_into(self, image_id: str, tenant_id: str) -> str | None:
        """A job that has not ended and pastes into this picture, which the inversion it starts from is of."""
        with self.lock:
            jobs = [row.job for row in self.rows.values() if row.job.tenant_id == tenant_id]
            of_image = [job for job in jobs if job.kind == "invert" and job.spec.get("image") == image_id]
            inversions = {job.id for job in of_image}
            for job in jobs:
                if not job.status.ended and inversions & pasted_from(job.spec):
                    return job.id
        return None

    def _queue(self, name: str) -> Queue:
        jobs = [row.job for row in self.rows.values() if row.job.queue == name]
        queued = [job for job in jobs if job.status is Status.QUEUED]
        running = sum(job.status is Status.RUNNING for job in jobs)
        oldest = min((job.created_at for job in queued), default=None)
        return Queue(name, name in self._paused, len(queued), len(self._eligible(name)), running, oldest)

    def _waiting(self, queue: str, now: float) -> list[Job]:
        return [row.job for row in self.rows.values() if row.job.queue == queue and _due(row.job, now)]

    def _all_eligible(self) -> list[Job]:
        queues = {row.job.queue for row in self.rows.values()}
        return [job for queue in queues for job in self._eligible(queue)]

    def _account(self, before: Job, after: Job) -> None:
        use = used(before, after)
        if use is not None:
            key = (use.day, use.tenant_id, use.kind)
            self.used[key] = added(self.used.get(key), use)

    def _eligible(self, queue: str) -> list[Job]:
        if queue in self._paused:
            return []
        full = self.full_tenants(queue)
        return [job for job in self._waiting(queue, self.clock()) if job.tenant_id not in full]

    def _first(self, queue: str, worker: str) -> Job | None:
        """What a claim takes: see storage/claims.py."""
        now = self.clock()
        if worker in self._drained:
            return None
        return min(
            self._eligible(queue),
            key=lambda job: (
                self._rank(job, now), self._turns.get((queue, job.tenant_id), 0), job.created_at, job.id
            ),
            default=None,
        )  # fmt: skip

    def _company(self, first: Job, most: int) -> list[Job]:
        """What may be claimed with the first of a class of a tenant: see storage/claims.py."""
        if first.attempt or first.batch_id is not None or most < 1:
            return []
        place = (first.created_at, first.id)
        following = sorted(
            (
                job
                for job in self._waiting(first.queue, self.clock())
                if (job.tenant_id, job.priority) == (first.tenant_id, first.priority)
                and (job.created_at, job.id) > place
            ),
            key=lambda job: (job.created_at, job.id),
        )
        return [
            job
            for job in following[:most]
            if job.kind == first.kind and not job.attempt and job.batch_id is None
        ]

    def _served(self, queue: str, tenant_id: str) -> None:
        self._turns[queue, tenant_id] = max(self._turns.values(), default=0) + 1

    def _rank(self, job: Job, now: float) -> int:
        return max(0, job.priority.rank - max(0, int((now - job.created_at) / self._ageing_s)))


def _keep_nothing(_job: Job, kept: Kept) -> None:
    assert kept == NOTHING_KEPT, "these jobs have no library"


def _nothing_follows(_job: Job) -> None:
    """These jobs know no batches."""


def _due(job: Job, now: float) -> bool:
    begun = job.started_at is not None or job.start_by is None or job.start_by > now
    late = job.finish_by is not None and job.finish_by <= now
    return job.status is Status.QUEUED and job.not_before <= now and begun and not late


def copy_of(job: Job) -> Job:
    """What a caller may alter without altering what is remembered."""
    return replace(
        job,
        spec=plain(job.spec),
        losses=plain(job.losses),
        webhook=plain(job.webhook),
        outputs=dict(job.outputs),
        result=plain(job.result),
        error=plain(job.error),
    )
