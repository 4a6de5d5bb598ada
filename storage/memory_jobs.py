"""The in-memory twin of the jobs table: one process's dict under one lock, the same decisions."""

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from storage import transitions
from storage.cursors import P, decode_cursor, page_of
from storage.errors import JobNotFound, LeaseLost
from storage.plain import plain, ref_from_dict
from storage.records import GPU_QUEUE, Claim, Event, Job, ObjectRef, Page, Renewal, Status, new_id
from storage.transitions import Change


@dataclass
class _Row:
    job: Job
    token: str | None = None
    ended_token: str | None = None
    events: list[Event] = field(default_factory=list)


_Rows = list[_Row]  # inside the class, `list` is a method


class MemoryJobs:
    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._lock = threading.RLock()

    def add(self, tenant_id: str, kind: str, spec: Mapping[str, Any], *, queue: str = GPU_QUEUE) -> Job:
        now = time.time()
        job = Job(
            id=new_id(), tenant_id=tenant_id, kind=kind, queue=queue, spec=plain(spec), status=Status.QUEUED,
            attempt=0, failures=0, lost=0, cancel_requested=False, not_before=now, worker=None,
            lease_until=None, checkpoint=None, outputs={}, result={}, error=None, created_at=now,
            started_at=None, ended_at=None, updated_at=now,
        )  # fmt: skip
        with self._lock:
            row = self._rows[job.id] = _Row(job)
            _tell(row, Status.QUEUED.value, {})
        return _copy(job)

    def get(self, tenant_id: str, job_id: str) -> Job:
        with self._lock:
            return _copy(self._row(tenant_id, job_id).job)

    def list(
        self,
        tenant_id: str,
        *,
        status: Status | None = None,
        kind: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Job]:
        with self._lock:
            found = [
                _copy(row.job)
                for row in self._rows.values()
                if row.job.tenant_id == tenant_id
                and status in (None, row.job.status)
                and kind in (None, row.job.kind)
            ]
        return page_of_all(found, limit, cursor)

    def claim(self, queue: str, worker: str, *, lease_s: float) -> Claim | None:
        with self._lock:
            waiting = self._eligible(queue)
            if not waiting:
                return None
            row, now = min(waiting, key=lambda row: (row.job.created_at, row.job.id)), time.time()
            row.token = secrets.token_hex(32)
            row.job = replace(
                row.job, status=Status.RUNNING, attempt=row.job.attempt + 1, worker=worker,
                lease_until=now + lease_s, started_at=row.job.started_at or now, updated_at=now,
            )  # fmt: skip
            _tell(row, Status.RUNNING.value, {"attempt": row.job.attempt, "worker": worker})
            return Claim(_copy(row.job), row.token)

    def renew(self, claim: Claim, *, lease_s: float) -> Renewal:
        with self._lock:
            row, now = self._held(claim), time.time()
            row.job = replace(row.job, lease_until=now + lease_s, updated_at=now)
            return Renewal(now + lease_s, row.job.cancel_requested)

    def checkpointed(self, claim: Claim, checkpoint: ObjectRef) -> None:
        with self._lock:
            row = self._held(claim)
            row.job = replace(row.job, checkpoint=checkpoint, updated_at=time.time())

    def request_cancel(self, tenant_id: str, job_id: str) -> Job:
        with self._lock:
            row = self._row(tenant_id, job_id)
            return _apply(row, transitions.cancel(row.job, time.time()))

    def requeue(
        self,
        claim: Claim,
        *,
        reason: str,
        delay_s: float = 0.0,
        error: Mapping[str, Any] | None = None,
        failed: bool = False,
    ) -> Job:
        def decide(job: Job) -> Change:
            return transitions.requeue(
                job, time.time(), reason=reason, delay_s=delay_s, error=error, failed=failed
            )

        return self._under(claim, decide)

    def succeed(self, claim: Claim, outputs: Mapping[str, ObjectRef], result: Mapping[str, Any]) -> Job:
        with self._lock:
            row = self._rows.get(claim.job.id)
            if (
                row is not None
                and row.job.status is Status.SUCCEEDED
                and (row.job.attempt, row.ended_token) == (claim.job.attempt, claim.token)
            ):
                return _copy(row.job)
            return self._under(claim, lambda job: transitions.succeed(job, time.time(), outputs, result))

    def fail(self, claim: Claim, error: Mapping[str, Any]) -> Job:
        return self._under(claim, lambda job: transitions.fail(job, time.time(), error))

    def canceled(self, claim: Claim) -> Job:
        return self._under(
            claim, lambda job: transitions.canceled(job, time.time(), reason="cancel_requested")
        )

    def expire(self, *, max_lost: int) -> tuple[Job, ...]:
        with self._lock:
            now = time.time()
            late = [row for row in self._rows.values() if (row.job.lease_until or now) < now]
            return tuple(_apply(row, transitions.expire(row.job, now, max_lost=max_lost)) for row in late)

    def eligible(self, queue: str) -> int:
        with self._lock:
            return len(self._eligible(queue))

    def position(self, job: Job) -> int:
        with self._lock:
            waiting = self._eligible(job.queue)
            return sum((row.job.created_at, row.job.id) < (job.created_at, job.id) for row in waiting)

    def running(self) -> tuple[Job, ...]:
        with self._lock:
            jobs = [_copy(row.job) for row in self._rows.values() if row.job.status is Status.RUNNING]
        return tuple(sorted(jobs, key=lambda job: (job.worker, job.id)))

    def events(self, tenant_id: str, job_id: str, *, after: int = 0) -> tuple[Event, ...]:
        with self._lock:
            events = self._row(tenant_id, job_id).events[max(0, after) :]
            return tuple(replace(event, data=plain(event.data)) for event in events)

    def needing_image(self, tenant_id: str, image_id: str) -> str | None:
        """The id of a job that has not ended and names this image."""
        with self._lock:
            for row in self._rows.values():
                mine = row.job.tenant_id == tenant_id and not row.job.status.ended
                if mine and image_id in (row.job.spec.get("image"), row.job.spec.get("mask")):
                    return row.job.id
        return None

    def _eligible(self, queue: str) -> _Rows:
        now = time.time()
        return [
            row
            for row in self._rows.values()
            if row.job.queue == queue and row.job.status is Status.QUEUED and row.job.not_before <= now
        ]

    def _row(self, tenant_id: str, job_id: str) -> _Row:
        row = self._rows.get(job_id)
        if row is None or row.job.tenant_id != tenant_id:
            raise JobNotFound(f"There is no job {job_id}.")
        return row

    def _held(self, claim: Claim) -> _Row:
        row = self._rows.get(claim.job.id)
        if row is None or (row.job.attempt, row.token) != (claim.job.attempt, claim.token):
            raise LeaseLost(f"Attempt {claim.job.attempt} of job {claim.job.id} no longer holds its lease.")
        return row

    def _under(self, claim: Claim, decide: Callable[[Job], Change]) -> Job:
        with self._lock:
            row = self._held(claim)
            change = decide(row.job)
            if "ended_at" in change.values:
                row.ended_token = claim.token
            return _apply(row, change)


def page_of_all(items: Iterable[P], limit: int, cursor: str | None) -> Page[P]:
    """A page of items that are all at hand, newest first."""
    before = decode_cursor(cursor) if cursor is not None else None
    rest = [item for item in items if before is None or (item.created_at, item.id) < before]
    rest.sort(key=lambda item: (item.created_at, item.id), reverse=True)
    return page_of(rest, limit)


def _apply(row: _Row, change: Change) -> Job:
    values = dict(change.values) | {"updated_at": time.time()}
    if "token" in values:
        row.token = values.pop("token")
    if "status" in values:
        values["status"] = Status(values["status"])
    if "outputs" in values:
        values["outputs"] = {name: ref_from_dict(ref) for name, ref in values["outputs"].items()}
    row.job = replace(row.job, **values)
    if change.event is not None:
        _tell(row, change.event, change.data)
    return _copy(row.job)


def _tell(row: _Row, type: str, data: dict[str, Any]) -> None:
    row.events.append(Event(row.job.id, len(row.events) + 1, type, plain(data), time.time()))


def _copy(job: Job) -> Job:
    """What a caller may alter without altering what is remembered."""
    error = plain(job.error) if job.error is not None else None
    return replace(
        job, spec=plain(job.spec), outputs=dict(job.outputs), result=plain(job.result), error=error
    )
