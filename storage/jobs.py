"""The jobs table: SQLite and PostgreSQL.

Every write under a claim is a compare-and-set on (id, attempt, token) of a running row; what it changes is
decided in storage/transitions.py. A change, its event and the webhook call
that tells of it are one transaction, and the event's number is the row's own count.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, select, update

from storage import transitions
from storage.attempts import SqlAttempts
from storage.claims import moment
from storage.cursors import decode_cursor, page_of
from storage.database import before
from storage.idempotency import once, remember, remembered
from storage.new_jobs import insert_job, job_values
from storage.plain import ref_to_dict
from storage.prepared import FromNow
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
)
from storage.rows import QUEUED, RUNNING, found, held, job_of, lost, named, read_named
from storage.specs import DEFAULT_OPTIONS, JobOptions
from storage.tables import DRAINS, EVENTS, JOBS
from storage.transitions import Change

_SWEPT_AT_ONCE = 100
_CLAIM_TRIES = 5


class SqlJobs(SqlAttempts):
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
        row = job_values(
            tenant_id, kind, spec, queue=queue, priority=options.priority, retry_of=retry_of,
            start_by=_in(options.start_within_s), finish_by=_in(options.finish_within_s),
            keep_s=options.keep_s,
            webhook=None if options.webhook is None else options.webhook.model_dump(mode="json"),
        )  # fmt: skip
        if idempotency is None:
            return self._add(row, None)
        return once(lambda: self.added(tenant_id, idempotency), lambda: self._add(row, idempotency))

    def _add(self, row: Mapping[str, Any], idempotency: IdempotencyKey | None) -> Job:
        with self._database.write() as connection:
            job = insert_job(connection, self._now, row)
            if idempotency is not None:
                remember(connection, self._insert, self._now, job, idempotency)
        return job

    def added(self, tenant_id: str, idempotency: IdempotencyKey) -> Job | None:
        with self._database.read() as connection:
            return remembered(connection, tenant_id, idempotency)

    def get(self, tenant_id: str, job_id: str) -> Job:
        with self._database.read() as connection:
            return read_named(connection, tenant_id, job_id)

    def list(
        self,
        tenant_id: str,
        *,
        status: Status | None = None,
        kind: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Job]:
        query = select(JOBS).where(JOBS.c.tenant_id == tenant_id, JOBS.c.batch_id.is_(None))
        if status is not None:
            query = query.where(JOBS.c.status == status.value)
        if kind is not None:
            query = query.where(JOBS.c.kind == kind)
        if cursor is not None:
            query = query.where(before(JOBS.c, *decode_cursor(cursor)))
        query = query.order_by(JOBS.c.created_at.desc(), JOBS.c.id.desc()).limit(limit + 1)
        with self._database.read() as connection:
            return page_of([job_of(row) for row in connection.execute(query)], limit)

    def renew(self, claim: Claim, *, lease_s: float) -> Renewal:
        values = {"lease_until": self._now + lease_s, "updated_at": self._now}
        draining = exists().where(DRAINS.c.worker == claim.job.worker)
        brought = (JOBS.c.lease_until, JOBS.c.cancel_requested, JOBS.c.stop_requested, draining)
        with self._database.write() as connection:
            row = connection.execute(
                update(JOBS).where(held(claim)).values(values).returning(*brought)
            ).one_or_none()
        if row is None:
            raise lost(claim)
        return Renewal(row[0], row[1], row[2], bool(row[3]))

    def checkpointed(self, claim: Claim, checkpoint: ObjectRef) -> None:
        values = {"checkpoint": ref_to_dict(checkpoint), "updated_at": self._now}
        with self._database.write() as connection:
            row = connection.execute(
                update(JOBS).where(held(claim)).values(values).returning(JOBS.c.id)
            ).one_or_none()
        if row is None:
            raise lost(claim)

    def request_cancel(self, tenant_id: str, job_id: str) -> Job:
        return self._asked(tenant_id, job_id, lambda job: transitions.cancel(job, FromNow()))

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
                job, FromNow(), reason=reason, count=count, delay_s=delay_s, error=error
            )

        return self._under(claim, decide)

    def fail(self, claim: Claim, error: Mapping[str, Any], *, count: Count = Count.FAILURES) -> Job:
        return self._under(claim, lambda job: transitions.fail(job, FromNow(), error, count=count))

    def canceled(self, claim: Claim) -> Job:
        return self._under(claim, lambda job: transitions.canceled(job, FromNow(), reason="cancel_requested"))

    def expire(self, *, max_lost: int) -> tuple[Job, ...]:
        def decide(job: Job, now: float) -> Change:
            cause = "lease expired"
            return transitions.lose(job, now, reason="lease_expired", cause=cause, max_lost=max_lost)

        return self._sweep(and_(RUNNING, JOBS.c.lease_until < moment(self._now)), decide)

    def release(self, worker: str, pid: int, *, cause: str, max_lost: int) -> tuple[Job, ...]:
        def decide(job: Job, now: float) -> Change:
            return transitions.lose(job, now, reason="worker_died", cause=cause, max_lost=max_lost)

        return self._sweep(and_(RUNNING, JOBS.c.worker == worker, JOBS.c.worker_pid == pid), decide)

    def overdue(self) -> tuple[Job, ...]:
        now = moment(self._now)
        not_begun = and_(QUEUED, JOBS.c.started_at.is_(None), JOBS.c.start_by < now)
        not_finished = and_(JOBS.c.ended_at.is_(None), JOBS.c.finish_by < now)
        return self._sweep(not_begun, transitions.overdue) + self._sweep(not_finished, transitions.overdue)

    def events(self, tenant_id: str, job_id: str, *, after: int = 0) -> tuple[Event, ...]:
        self.get(tenant_id, job_id)
        query = (
            select(EVENTS).where(EVENTS.c.job_id == job_id, EVENTS.c.number > after).order_by(EVENTS.c.number)
        )
        with self._database.read() as connection:
            return tuple(Event(**row._mapping) for row in connection.execute(query))

    def _asked(self, tenant_id: str, job_id: str, decide: Callable[[Job], Change]) -> Job:
        """Lock the row, decide by what it says, and set it: for wishes from outside."""
        with self._database.write() as connection:
            query = select(JOBS).where(named(tenant_id, job_id)).with_for_update()
            job = found(connection.execute(query).one_or_none(), job_id)
            return self._apply(connection, job, decide(job))

    def _under(self, claim: Claim, decide: Callable[[Job], Change]) -> Job:
        """Lock the claimed row, decide by what it says now, and set it, if the claim still holds."""
        with self._database.write() as connection:
            row = connection.execute(select(JOBS).where(held(claim)).with_for_update()).one_or_none()
            if row is None:
                raise lost(claim)
            job = job_of(row)
            return self._apply(connection, job, decide(job), claim=claim)

    def _sweep(
        self, condition: ColumnElement[bool], decide: Callable[[Job, float], Change]
    ) -> tuple[Job, ...]:
        """Change all rows that are so, a few per transaction, save those that another is changing."""
        changed: list[Job] = []
        query = select(JOBS).where(condition).order_by(JOBS.c.tenant_id, JOBS.c.kind).limit(_SWEPT_AT_ONCE)
        while True:
            with self._database.write() as connection:
                rows = connection.execute(query.with_for_update(skip_locked=True)).all()
                now = connection.execute(select(self._now)).scalar_one()
                for job in map(job_of, rows):
                    changed.append(self._apply(connection, job, decide(job, now)))
            if len(rows) < _SWEPT_AT_ONCE:
                return tuple(changed)


def _in(seconds: float | None) -> FromNow | None:
    return None if seconds is None else FromNow(seconds)
