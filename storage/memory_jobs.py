"""The in-memory twin of the jobs table: one process's dict under one lock, the same decisions."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from storage import transitions
from storage.cursors import P, decode_cursor, page_of
from storage.errors import JobNotFound
from storage.memory_attempts import MemoryAttempts
from storage.memory_queues import MemoryKey, MemoryRow, copy_of
from storage.plain import plain
from storage.records import (
    GPU_QUEUE,
    Claim,
    Count,
    Event,
    IdempotencyKey,
    Job,
    ObjectRef,
    Page,
    Priority,
    Renewal,
    Status,
    new_id,
)
from storage.specs import DEFAULT_OPTIONS, JobOptions
from storage.tracing import traceparent
from storage.transitions import Change


class MemoryJobs(MemoryAttempts):
    def add(
        self,
        tenant_id: str,
        kind: str,
        spec: Mapping[str, Any],
        *,
        queue: str = GPU_QUEUE,
        options: JobOptions = DEFAULT_OPTIONS,
        retry_of: str | None = None,
        idempotency: IdempotencyKey | None = None,
    ) -> Job:
        with self.lock:
            known = None if idempotency is None else self.added(tenant_id, idempotency)
            if known is not None:
                return known
            job = _new(self.clock(), tenant_id, kind, plain(spec), queue, options, retry_of)
            self.rows[job.id] = MemoryRow(job)
            if idempotency is not None:
                key = MemoryKey(idempotency.sha256, job.id, job.created_at)
                self.keys[tenant_id, idempotency.key] = key
            self._tell(self.rows[job.id], Status.QUEUED.value, {})
            return copy_of(job)

    def added(self, tenant_id: str, idempotency: IdempotencyKey) -> Job | None:
        with self.lock:
            known = self.keys.get((tenant_id, idempotency.key))
            if known is None:
                return None
            transitions.refuse_another_request(idempotency, known.sha256, known.job_id)
            return self.get(tenant_id, known.job_id)

    def get(self, tenant_id: str, job_id: str) -> Job:
        with self.lock:
            return copy_of(self._row(tenant_id, job_id).job)

    def list(
        self,
        tenant_id: str,
        *,
        status: Status | None = None,
        kind: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Job]:
        with self.lock:
            found = [
                copy_of(row.job)
                for row in self.rows.values()
                if row.job.tenant_id == tenant_id
                and row.job.batch_id is None
                and status in (None, row.job.status)
                and kind in (None, row.job.kind)
            ]
        return page_of_all(found, limit, cursor)

    def renew(self, claim: Claim, *, lease_s: float) -> Renewal:
        with self.lock:
            row, now = self._held(claim), self.clock()
            row.job = replace(row.job, lease_until=now + lease_s, updated_at=now)
            draining = claim.job.worker in self._drained
            return Renewal(now + lease_s, row.job.cancel_requested, row.job.stop_requested, draining)

    def checkpointed(self, claim: Claim, checkpoint: ObjectRef) -> None:
        with self.lock:
            row = self._held(claim)
            row.job = replace(row.job, checkpoint=checkpoint, updated_at=self.clock())

    def request_cancel(self, tenant_id: str, job_id: str) -> Job:
        return self._asked(tenant_id, job_id, lambda job: transitions.cancel(job, self.clock()))

    def request_stop(self, tenant_id: str, job_id: str) -> Job:
        return self._asked(tenant_id, job_id, transitions.stop)

    def set_priority(self, tenant_id: str, job_id: str, priority: Priority) -> Job:
        return self._asked(tenant_id, job_id, lambda job: transitions.set_priority(job, priority))

    def requeue(
        self,
        claim: Claim,
        *,
        reason: str,
        count: Count,
        delay_s: float = 0.0,
        error: Mapping[str, Any] | None = None,
    ) -> Job:
        def decide(job: Job) -> Change:
            return transitions.requeue(
                job, self.clock(), reason=reason, count=count, delay_s=delay_s, error=error
            )

        return self._under(claim, decide)

    def fail(self, claim: Claim, error: Mapping[str, Any], *, count: Count = Count.FAILURES) -> Job:
        return self._under(claim, lambda job: transitions.fail(job, self.clock(), error, count=count))

    def canceled(self, claim: Claim) -> Job:
        return self._under(
            claim, lambda job: transitions.canceled(job, self.clock(), reason="cancel_requested")
        )

    def expire(self, *, max_lost: int) -> tuple[Job, ...]:
        def decide(job: Job, now: float) -> Change:
            cause = "lease expired"
            return transitions.lose(job, now, reason="lease_expired", cause=cause, max_lost=max_lost)

        return self._sweep(lambda job, now: job.lease_until is not None and job.lease_until < now, decide)

    def release(self, worker: str, pid: int, *, cause: str, max_lost: int) -> tuple[Job, ...]:
        def decide(job: Job, now: float) -> Change:
            return transitions.lose(job, now, reason="worker_died", cause=cause, max_lost=max_lost)

        return self._sweep(
            lambda job, _: job.status is Status.RUNNING and (job.worker, job.worker_pid) == (worker, pid),
            decide,
        )

    def overdue(self) -> tuple[Job, ...]:
        def late(job: Job, now: float) -> bool:
            start_by = job.start_by if job.started_at is None else None
            return not job.status.ended and any(
                by is not None and by < now for by in (start_by, job.finish_by)
            )

        return self._sweep(late, transitions.overdue)

    def events(self, tenant_id: str, job_id: str, *, after: int = 0) -> tuple[Event, ...]:
        with self.lock:
            events = self._row(tenant_id, job_id).events[max(0, after) :]
            return tuple(replace(event, data=plain(event.data)) for event in events)

    def _row(self, tenant_id: str, job_id: str) -> MemoryRow:
        row = self.rows.get(job_id)
        if row is None or row.job.tenant_id != tenant_id:
            raise JobNotFound(f"There is no job {job_id}.")
        return row

    def _asked(self, tenant_id: str, job_id: str, decide: Callable[[Job], Change]) -> Job:
        with self.lock:
            row = self._row(tenant_id, job_id)
            return self._apply(row, decide(row.job))

    def _sweep(
        self, wanted: Callable[[Job, float], bool], decide: Callable[[Job, float], Change]
    ) -> tuple[Job, ...]:
        with self.lock:
            now = self.clock()
            rows = [row for row in self.rows.values() if wanted(row.job, now)]
            return tuple(self._apply(row, decide(row.job, now)) for row in rows)


def _new(
    now: float,
    tenant_id: str,
    kind: str,
    spec: dict[str, Any],
    queue: str,
    options: JobOptions,
    retry_of: str | None,
) -> Job:
    def by(seconds: float | None) -> float | None:
        return None if seconds is None else now + seconds

    return Job(
        id=new_id(), tenant_id=tenant_id, kind=kind, queue=queue, spec=spec, priority=options.priority,
        status=Status.QUEUED, attempt=0, **dict.fromkeys(Count, 0), losses=[], cancel_requested=False,
        stop_requested=False, not_before=now, start_by=by(options.start_within_s),
        finish_by=by(options.finish_within_s), keep_s=options.keep_s,
        webhook=None if options.webhook is None else options.webhook.model_dump(mode="json"),
        retry_of=retry_of, worker=None, worker_pid=None, lease_until=None, checkpoint=None, outputs={},
        result={}, error=None, created_at=now, started_at=None, ended_at=None, updated_at=now,
        outputs_expired_at=None, batch_id=None, trace=traceparent(),
    )  # fmt: skip


def page_of_all(items: Iterable[P], limit: int, cursor: str | None) -> Page[P]:
    """A page of items that are all at hand, newest first."""
    before = decode_cursor(cursor) if cursor is not None else None
    rest = [item for item in items if before is None or (item.created_at, item.id) < before]
    rest.sort(key=lambda item: (item.created_at, item.id), reverse=True)
    return page_of(rest, limit)
