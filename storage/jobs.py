"""The jobs table: SQLite and PostgreSQL.

A claim is one conditional UPDATE. Every write under a claim is a compare-and-set on (id, attempt, token) of a
running row; what it changes is decided in storage/transitions.py. A change of state and its event are one
transaction, and the event's number is the row's own count.
"""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, select, true, update

from storage import transitions
from storage.cursors import decode_cursor, page_of
from storage.database import Database, before
from storage.errors import JobNotFound, LeaseLost
from storage.plain import plain, ref_from_dict, ref_to_dict
from storage.records import GPU_QUEUE, Claim, Event, Job, ObjectRef, Page, Renewal, Status, new_id
from storage.tables import EVENTS, JOBS
from storage.transitions import Change

_EXPIRED_AT_ONCE = 100


class SqlJobs:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._now = database.now

    def add(self, tenant_id: str, kind: str, spec: Mapping[str, Any], *, queue: str = GPU_QUEUE) -> Job:
        row = {
            "id": new_id(), "tenant_id": tenant_id, "kind": kind, "queue": queue, "spec": plain(spec),
            "status": Status.QUEUED.value, "event_count": 1,
            "not_before": self._now, "created_at": self._now, "updated_at": self._now,
        }  # fmt: skip
        with self._database.write() as connection:
            job = _job(connection.execute(insert(JOBS).values(row).returning(JOBS)).one())
            self._tell(connection, job.id, 1, Status.QUEUED.value, {})
        return job

    def get(self, tenant_id: str, job_id: str) -> Job:
        with self._database.read() as connection:
            row = connection.execute(select(JOBS).where(_is(tenant_id, job_id))).one_or_none()
        return _found(row, job_id)

    def list(
        self,
        tenant_id: str,
        *,
        status: Status | None = None,
        kind: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Job]:
        query = select(JOBS).where(JOBS.c.tenant_id == tenant_id)
        if status is not None:
            query = query.where(JOBS.c.status == status.value)
        if kind is not None:
            query = query.where(JOBS.c.kind == kind)
        if cursor is not None:
            query = query.where(before(JOBS.c, *decode_cursor(cursor)))
        query = query.order_by(JOBS.c.created_at.desc(), JOBS.c.id.desc()).limit(limit + 1)
        with self._database.read() as connection:
            return page_of([_job(row) for row in connection.execute(query)], limit)

    def claim(self, queue: str, worker: str, *, lease_s: float) -> Claim | None:
        token = secrets.token_hex(32)
        best = (
            select(JOBS.c.id)
            .where(self._eligible(queue))
            .order_by(JOBS.c.created_at, JOBS.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        statement = (
            update(JOBS)
            .where(JOBS.c.id == best.scalar_subquery(), JOBS.c.status == Status.QUEUED.value)
            .values(
                status=Status.RUNNING.value,
                attempt=JOBS.c.attempt + 1,
                token=token,
                worker=worker,
                lease_until=self._now + lease_s,
                started_at=func.coalesce(JOBS.c.started_at, self._now),
                updated_at=self._now,
                event_count=JOBS.c.event_count + 1,
            )
            .returning(JOBS)
        )
        with self._database.write() as connection:
            row = connection.execute(statement).one_or_none()
            if row is None:
                return None
            job = _job(row)
            data = {"attempt": job.attempt, "worker": worker}
            self._tell(connection, job.id, row.event_count, Status.RUNNING.value, data)
        return Claim(job, token)

    def renew(self, claim: Claim, *, lease_s: float) -> Renewal:
        values = {"lease_until": self._now + lease_s, "updated_at": self._now}
        statement = update(JOBS).where(_held(claim)).values(values)
        with self._database.write() as connection:
            row = connection.execute(
                statement.returning(JOBS.c.lease_until, JOBS.c.cancel_requested)
            ).one_or_none()
        if row is None:
            raise _lost(claim)
        return Renewal(row.lease_until, row.cancel_requested)

    def checkpointed(self, claim: Claim, checkpoint: ObjectRef) -> None:
        values = {"checkpoint": ref_to_dict(checkpoint), "updated_at": self._now}
        with self._database.write() as connection:
            row = connection.execute(
                update(JOBS).where(_held(claim)).values(values).returning(JOBS.c.id)
            ).one_or_none()
        if row is None:
            raise _lost(claim)

    def request_cancel(self, tenant_id: str, job_id: str) -> Job:
        with self._database.write() as connection:
            row = connection.execute(
                select(JOBS).where(_is(tenant_id, job_id)).with_for_update()
            ).one_or_none()
            job = _found(row, job_id)
            return self._apply(connection, job, transitions.cancel(job, self._now))

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
                job, self._now, reason=reason, delay_s=delay_s, error=error, failed=failed
            )

        return self._under(claim, decide)

    def succeed(self, claim: Claim, outputs: Mapping[str, ObjectRef], result: Mapping[str, Any]) -> Job:
        try:
            return self._under(claim, lambda job: transitions.succeed(job, self._now, outputs, result))
        except LeaseLost:
            own = and_(
                JOBS.c.id == claim.job.id,
                JOBS.c.attempt == claim.job.attempt,
                JOBS.c.ended_token == claim.token,
                JOBS.c.status == Status.SUCCEEDED.value,
            )
            with self._database.read() as connection:
                row = connection.execute(select(JOBS).where(own)).one_or_none()
            if row is None:
                raise
            return _job(row)

    def fail(self, claim: Claim, error: Mapping[str, Any]) -> Job:
        return self._under(claim, lambda job: transitions.fail(job, self._now, error))

    def canceled(self, claim: Claim) -> Job:
        return self._under(claim, lambda job: transitions.canceled(job, self._now, reason="cancel_requested"))

    def expire(self, *, max_lost: int) -> tuple[Job, ...]:
        changed: list[Job] = []
        late = and_(JOBS.c.status == Status.RUNNING.value, JOBS.c.lease_until < self._now)
        query = select(JOBS).where(late).order_by(JOBS.c.lease_until).limit(_EXPIRED_AT_ONCE)
        while True:
            with self._database.write() as connection:
                rows = connection.execute(query.with_for_update(skip_locked=True)).all()
                for job in map(_job, rows):
                    change = transitions.expire(job, self._now, max_lost=max_lost)
                    changed.append(self._apply(connection, job, change))
            if len(rows) < _EXPIRED_AT_ONCE:
                return tuple(changed)

    def eligible(self, queue: str) -> int:
        return self._count(self._eligible(queue))

    def position(self, job: Job) -> int:
        return self._count(self._eligible(job.queue), before(JOBS.c, job.created_at, job.id))

    def running(self) -> tuple[Job, ...]:
        query = select(JOBS).where(JOBS.c.status == Status.RUNNING.value).order_by(JOBS.c.worker, JOBS.c.id)
        with self._database.read() as connection:
            return tuple(_job(row) for row in connection.execute(query))

    def events(self, tenant_id: str, job_id: str, *, after: int = 0) -> tuple[Event, ...]:
        self.get(tenant_id, job_id)
        query = (
            select(EVENTS).where(EVENTS.c.job_id == job_id, EVENTS.c.number > after).order_by(EVENTS.c.number)
        )
        with self._database.read() as connection:
            return tuple(Event(**row._mapping) for row in connection.execute(query))

    def _eligible(self, queue: str) -> ColumnElement[bool]:
        return and_(
            JOBS.c.queue == queue, JOBS.c.status == Status.QUEUED.value, JOBS.c.not_before <= self._now
        )

    def _count(self, *conditions: ColumnElement[bool]) -> int:
        with self._database.read() as connection:
            return connection.execute(select(func.count()).select_from(JOBS).where(*conditions)).scalar_one()

    def _under(self, claim: Claim, decide: Callable[[Job], Change]) -> Job:
        """Lock the claimed row, decide, and set it, if the claim still holds."""
        with self._database.write() as connection:
            row = connection.execute(select(JOBS).where(_held(claim)).with_for_update()).one_or_none()
            if row is None:
                raise _lost(claim)
            job = _job(row)
            return self._apply(connection, job, decide(job), held=_held(claim), ended_token=claim.token)

    def _apply(
        self,
        connection: Connection,
        job: Job,
        change: Change,
        *,
        held: ColumnElement[bool] | None = None,
        ended_token: str | None = None,
    ) -> Job:
        values = change.values | {"updated_at": self._now}
        if "ended_at" in values:
            values["ended_token"] = ended_token
        if change.event is not None:
            values["event_count"] = JOBS.c.event_count + 1
        same = and_(JOBS.c.id == job.id, JOBS.c.status == job.status.value, JOBS.c.attempt == job.attempt)
        statement = update(JOBS).where(same, true() if held is None else held).values(values)
        row = connection.execute(statement.returning(JOBS)).one()
        if change.event is not None:
            self._tell(connection, job.id, row.event_count, change.event, change.data)
        return _job(row)

    def _tell(
        self, connection: Connection, job_id: str, number: int, type: str, data: dict[str, Any]
    ) -> None:
        event = {"job_id": job_id, "number": number, "type": type, "data": data, "created_at": self._now}
        connection.execute(insert(EVENTS).values(event))


def _is(tenant_id: str, job_id: str) -> ColumnElement[bool]:
    return and_(JOBS.c.id == job_id, JOBS.c.tenant_id == tenant_id)


def _held(claim: Claim) -> ColumnElement[bool]:
    return and_(
        JOBS.c.id == claim.job.id,
        JOBS.c.attempt == claim.job.attempt,
        JOBS.c.token == claim.token,
        JOBS.c.status == Status.RUNNING.value,
    )


def _found(row: Row[Any] | None, job_id: str) -> Job:
    if row is None:
        raise JobNotFound(f"There is no job {job_id}.")
    return _job(row)


def _lost(claim: Claim) -> LeaseLost:
    return LeaseLost(f"Attempt {claim.job.attempt} of job {claim.job.id} no longer holds its lease.")


def _job(row: Row[Any]) -> Job:
    members = dict(row._mapping)
    for private in ("token", "ended_token", "event_count"):
        del members[private]
    members["status"] = Status(row.status)
    members["checkpoint"] = ref_from_dict(row.checkpoint) if row.checkpoint else None
    members["outputs"] = {name: ref_from_dict(ref) for name, ref in (row.outputs or {}).items()}
    members["result"] = row.result or {}
    return Job(**members)
