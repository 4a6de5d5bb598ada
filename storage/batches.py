"""Batches: SQLite and PostgreSQL. What their jobs change of them stands in storage/batch_rows.py."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, func, insert, or_, select, update

from storage.batch_course import Course, refuse_ended
from storage.batch_records import CHUNK, FINISH, HELD_UNTIL, VALIDATE, Batch, BatchStatus, Chunk, Tally
from storage.batch_rows import (
    batch_of,
    chunk_of,
    end_canceled,
    follow,
    found,
    locked,
    named,
    queue_chunks,
    queue_job,
    tally_of,
)
from storage.batch_tables import BATCHES, CHUNKS
from storage.cursors import decode_cursor, page_of
from storage.database import Database, before
from storage.errors import JobEnded, JobNotFound
from storage.idempotency import once, remember
from storage.jobs import SqlJobs
from storage.plain import plain, ref_from_dict
from storage.records import CPU_QUEUE, IdempotencyKey, Job, ObjectRef, Page, Priority, new_id
from storage.rows import QUEUED, RUNNING, job_of
from storage.tables import JOBS


class SqlBatches:
    def __init__(self, database: Database, jobs: SqlJobs) -> None:
        self._database, self._now, self._jobs = database, database.now, jobs
        self._insert = jobs._insert

    def add(
        self,
        tenant_id: str,
        spec: Mapping[str, Any],
        *,
        priority: Priority = Priority.BULK,
        ready: int = 4,
        keep_s: float | None = None,
        webhook: Mapping[str, Any] | None = None,
        retry_of: str | None = None,
        idempotency: IdempotencyKey | None = None,
    ) -> Batch:
        row = {
            "id": new_id(), "tenant_id": tenant_id, "spec": plain(spec), "priority": priority.rank,
            "status": BatchStatus.VALIDATING.value, "ready": ready, "keep_s": keep_s,
            "webhook": plain(webhook), "retry_of": retry_of, "files": {}, "result": {},
            "created_at": self._now, "updated_at": self._now,
        }  # fmt: skip
        if idempotency is None:
            return self._add(row, None)
        return once(lambda: self.added(tenant_id, idempotency), lambda: self._add(row, idempotency))

    def _add(self, row: Mapping[str, Any], idempotency: IdempotencyKey | None) -> Batch:
        with self._database.write() as connection:
            batch = batch_of(connection.execute(insert(BATCHES).values(row).returning(BATCHES)).one())
            job = queue_job(connection, self._now, batch, VALIDATE, queue=CPU_QUEUE, spec={"batch": batch.id})
            if idempotency is not None:
                remember(connection, self._insert, self._now, job, idempotency)
        return batch

    def added(self, tenant_id: str, idempotency: IdempotencyKey) -> Batch | None:
        job = self._jobs.added(tenant_id, idempotency)
        return None if job is None or job.batch_id is None else self.get(tenant_id, job.batch_id)

    def get(self, tenant_id: str, batch_id: str) -> Batch:
        with self._database.read() as connection:
            row = connection.execute(select(BATCHES).where(named(tenant_id, batch_id))).one_or_none()
        return found(row, batch_id)

    def list(
        self,
        tenant_id: str,
        *,
        status: BatchStatus | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Batch]:
        query = select(BATCHES).where(BATCHES.c.tenant_id == tenant_id)
        if status is not None:
            query = query.where(BATCHES.c.status == status.value)
        if cursor is not None:
            query = query.where(before(BATCHES.c, *decode_cursor(cursor)))
        query = query.order_by(BATCHES.c.created_at.desc(), BATCHES.c.id.desc()).limit(limit + 1)
        with self._database.read() as connection:
            return page_of([batch_of(row) for row in connection.execute(query)], limit)

    def tally(self, batch_id: str) -> Tally:
        with self._database.read() as connection:
            return tally_of(connection, batch_id)

    def chunk(self, batch_id: str, number: int) -> Chunk:
        this = and_(CHUNKS.c.batch_id == batch_id, CHUNKS.c.number == number)
        with self._database.read() as connection:
            return chunk_of(connection.execute(select(CHUNKS).where(this)).one())

    def chunks(self, batch_id: str, *, after: int = -1, limit: int = 1000) -> tuple[Chunk, ...]:
        mine = and_(CHUNKS.c.batch_id == batch_id, CHUNKS.c.number > after)
        with self._database.read() as connection:
            rows = connection.execute(select(CHUNKS).where(mine).order_by(CHUNKS.c.number).limit(limit))
            return tuple(map(chunk_of, rows))

    def ledgers(self, batch_id: str) -> Iterator[tuple[Chunk, ObjectRef | None]]:
        after = -1
        while some := self.chunks(batch_id, after=after):
            outputs = self._outputs([chunk.job_id for chunk in some if chunk.job_id is not None])
            for chunk in some:
                yield chunk, outputs.get(chunk.job_id or "")
            after = some[-1].number

    def _outputs(self, job_ids: Sequence[str]) -> dict[str, ObjectRef]:
        query = select(JOBS.c.id, JOBS.c.outputs).where(JOBS.c.id.in_(job_ids))
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return {row.id: ref_from_dict(row.outputs["ledger.jsonl"]) for row in rows if row.outputs}

    def kept_ledgers(self) -> Iterator[ObjectRef]:
        query = select(JOBS.c.id, JOBS.c.outputs).where(JOBS.c.kind == CHUNK, JOBS.c.batch_id.is_not(None))
        last = ""
        while True:
            with self._database.read() as connection:
                rows = connection.execute(query.where(JOBS.c.id > last).order_by(JOBS.c.id).limit(500)).all()
            if not rows:
                return
            yield from (ref_from_dict(row.outputs["ledger.jsonl"]) for row in rows if row.outputs)
            last = rows[-1].id

    def running(self, batch_id: str) -> tuple[Job, ...]:
        with self._database.read() as connection:
            rows = connection.execute(select(JOBS).where(JOBS.c.batch_id == batch_id, RUNNING))
            return tuple(map(job_of, rows))

    def newest(self, batch_id: str, *, limit: int = 2) -> tuple[Job, ...]:
        done = and_(JOBS.c.batch_id == batch_id, JOBS.c.status == "succeeded", JOBS.c.kind == CHUNK)
        query = select(JOBS).where(done).order_by(JOBS.c.ended_at.desc()).limit(limit)
        with self._database.read() as connection:
            return tuple(map(job_of, connection.execute(query)))

    def pause(self, tenant_id: str, batch_id: str, paused: bool) -> Batch:
        batch = self._wish(tenant_id, batch_id, {"paused": paused})
        self._hold(batch)
        return batch

    def _hold(self, batch: Batch) -> None:
        """Keep its queued chunks back; or let them go, and top them up."""
        mine = and_(JOBS.c.batch_id == batch.id, QUEUED, JOBS.c.kind == CHUNK)
        with self._database.write() as connection:
            if batch.paused:
                connection.execute(update(JOBS).where(mine).values(not_before=HELD_UNTIL))
                return
            held = JOBS.c.not_before >= HELD_UNTIL
            connection.execute(update(JOBS).where(mine, held).values(not_before=self._now))
            queued = connection.execute(select(func.count()).select_from(JOBS).where(mine)).scalar_one()
            queue_chunks(connection, self._now, locked(connection, batch.id), batch.ready - queued)

    def request_cancel(self, tenant_id: str, batch_id: str) -> Batch:
        self._wish(tenant_id, batch_id, {"cancel_requested": True})
        self.carry_out_cancel(batch_id)
        return self.get(tenant_id, batch_id)

    def carry_out_cancel(self, batch_id: str) -> None:
        for job in self._open_jobs(batch_id):
            with contextlib.suppress(JobEnded, JobNotFound):
                self._jobs.request_cancel(job.tenant_id, job.id)
        with self._database.write() as connection:
            end_canceled(connection, self._now, locked(connection, batch_id))

    def canceling(self) -> tuple[Batch, ...]:
        status = BATCHES.c.status.in_((BatchStatus.VALIDATING.value, BatchStatus.RUNNING.value))
        with self._database.read() as connection:
            rows = connection.execute(select(BATCHES).where(BATCHES.c.cancel_requested, status))
            return tuple(map(batch_of, rows))

    def set_priority(self, tenant_id: str, batch_id: str, priority: Priority) -> Batch:
        batch = self._wish(tenant_id, batch_id, {"priority": priority.rank})
        for job in self._open_jobs(batch_id):
            with contextlib.suppress(JobEnded, JobNotFound):
                self._jobs.set_priority(tenant_id, job.id, priority)
        return batch

    def _wish(self, tenant_id: str, batch_id: str, values: dict[str, Any]) -> Batch:
        mine = select(BATCHES).where(named(tenant_id, batch_id)).with_for_update()
        with self._database.write() as connection:
            batch = found(connection.execute(mine).one_or_none(), batch_id)
            refuse_ended(batch)
            return follow(connection, self._now, batch, Course(values))

    def _open_jobs(self, batch_id: str) -> tuple[Job, ...]:
        """The finish aside: what was done is merged, whatever comes."""
        open_ones = and_(JOBS.c.batch_id == batch_id, or_(QUEUED, RUNNING), JOBS.c.kind != FINISH)
        with self._database.read() as connection:
            return tuple(map(job_of, connection.execute(select(JOBS).where(open_ones))))

    def speed(self, kind: str, model: str) -> tuple[int, float] | None:
        told = (BATCHES.c.spec["spec"]["kind"].as_string(), BATCHES.c.spec["spec"]["model"].as_string())
        alike = select(BATCHES.c.id).where(told[0] == kind, told[1] == model)
        recent = (
            select(CHUNKS.c.succeeded, CHUNKS.c.reused, CHUNKS.c.device_s)
            .where(CHUNKS.c.batch_id.in_(alike), CHUNKS.c.device_s > 0)
            .order_by(CHUNKS.c.ended_at.desc())
            .limit(100)
        )
        with self._database.read() as connection:
            rows = connection.execute(recent).all()
        items = sum(row.succeeded - row.reused for row in rows)
        return (items, sum(row.device_s for row in rows)) if items else None
