"""Rows of batches and chunks, as the transactions of their jobs change them.

Locks are taken in one order, the job's row and then its batch's, so that no two wait for each other.
"""

import dataclasses
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, func, insert, select, true, update

from storage import batch_course
from storage.batch_course import Course
from storage.batch_records import CHUNK, FINISH, HELD_UNTIL, Batch, BatchStatus, Chunk, Tally
from storage.batch_tables import BATCHES, CHUNKS
from storage.errors import BatchNotFound
from storage.new_jobs import insert_job, job_values
from storage.plain import refs_from_dict
from storage.records import CPU_QUEUE, GPU_QUEUE, Job, Priority
from storage.rows import QUEUED
from storage.tables import JOBS

_MEMBERS = tuple(member.name for member in dataclasses.fields(Batch))
_PRIORITIES = tuple(Priority)
_SUMMED = ("succeeded", "failed", "canceled", "reused", "device_s", "seconds")


def batch_of(row: Row[Any]) -> Batch:
    members = {name: row._mapping[name] for name in _MEMBERS}
    members["status"] = BatchStatus(row.status)
    members["priority"] = _PRIORITIES[row.priority]
    members["files"] = refs_from_dict(row.files)
    return Batch(**members)


def chunk_of(row: Row[Any]) -> Chunk:
    return Chunk(**{**row._mapping, "errors": row.errors or {}})


def found(row: Row[Any] | None, batch_id: str) -> Batch:
    if row is None:
        raise BatchNotFound(f"There is no batch {batch_id}.")
    return batch_of(row)


def named(tenant_id: str, batch_id: str) -> ColumnElement[bool]:
    return and_(BATCHES.c.id == batch_id, BATCHES.c.tenant_id == tenant_id)


def locked(connection: Connection, batch_id: str | None) -> Batch:
    row = connection.execute(select(BATCHES).where(BATCHES.c.id == batch_id).with_for_update()).one()
    return batch_of(row)


def write_chunks(connection: Connection, chunks: tuple[Chunk, ...]) -> None:
    members = ("batch_id", "number", "start_byte", "byte_size", "sha256", "items")
    rows = [{name: getattr(chunk, name) for name in members} for chunk in chunks]
    for start in range(0, len(rows), 1000):
        connection.execute(insert(CHUNKS), rows[start : start + 1000])


def after_claim(connection: Connection, now: ColumnElement[float], job: Job) -> None:
    """A chunk has left the queue for the first time: the next one comes in."""
    if job.kind == CHUNK and job.attempt == 1:
        queue_chunks(connection, now, locked(connection, job.batch_id), 1)


def after_change(connection: Connection, now: ColumnElement[float], job: Job) -> None:
    """One of a batch's jobs has ended, or is queued again."""
    if not job.status.ended:
        hold = exists().where(BATCHES.c.id == job.batch_id, BATCHES.c.paused)
        paused = and_(JOBS.c.id == job.id, QUEUED, JOBS.c.kind == CHUNK, hold)
        connection.execute(update(JOBS).where(paused).values(not_before=HELD_UNTIL))
        return
    batch = locked(connection, job.batch_id)
    if job.kind == CHUNK:
        _end_chunk(connection, now, job)
    finishing = job.kind == FINISH
    tally = tally_of(connection, batch.id) if finishing else Tally()
    more = not finishing and _more(connection, batch)
    follow(connection, now, batch, batch_course.ended(batch, job, now, more=more, tally=tally))


def follow(connection: Connection, now: ColumnElement[float], batch: Batch, course: Course) -> Batch:
    """Write what was decided of a batch that is locked."""
    if not course.values:
        return batch
    values = course.values | {"updated_at": now}
    statement = update(BATCHES).where(BATCHES.c.id == batch.id).values(values).returning(BATCHES)
    batch = batch_of(connection.execute(statement).one())
    queue_chunks(connection, now, batch, course.chunks)
    if course.finish:
        queue_job(connection, now, batch, FINISH, queue=CPU_QUEUE, spec={"batch": batch.id})
    return batch


def end_canceled(connection: Connection, now: ColumnElement[float], batch: Batch) -> None:
    """A batch whose cancel was asked for while none of its chunks was queued or ran."""
    wanted = batch.cancel_requested and batch.status is BatchStatus.RUNNING
    if wanted and not _more(connection, batch):
        follow(connection, now, batch, batch_course.all_done())


def queue_chunks(connection: Connection, now: ColumnElement[float], batch: Batch, count: int) -> None:
    """Queue so many more, unless the batch is not to go on."""
    if count <= 0 or batch.status is not BatchStatus.RUNNING or batch.paused or batch.cancel_requested:
        return
    waiting = select(CHUNKS.c.number).where(
        CHUNKS.c.batch_id == batch.id, CHUNKS.c.ended_at.is_(None), CHUNKS.c.job_id.is_(None)
    )
    for number in connection.execute(waiting.order_by(CHUNKS.c.number).limit(count)).scalars().all():
        spec = {"batch": batch.id, "chunk": number}
        job = queue_job(connection, now, batch, CHUNK, queue=GPU_QUEUE, spec=spec)
        this = and_(CHUNKS.c.batch_id == batch.id, CHUNKS.c.number == number)
        connection.execute(update(CHUNKS).where(this).values(job_id=job.id))


def queue_job(
    connection: Connection,
    now: ColumnElement[float],
    batch: Batch,
    kind: str,
    *,
    queue: str,
    spec: dict[str, Any],
) -> Job:
    others = {"batch_id": batch.id, "webhook": batch.webhook if kind == FINISH else None}
    values = job_values(batch.tenant_id, kind, spec, queue=queue, priority=batch.priority, **others)
    return insert_job(connection, now, values)


def tally_of(connection: Connection, batch_id: str) -> Tally:
    mine = and_(CHUNKS.c.batch_id == batch_id, CHUNKS.c.ended_at.is_not(None))
    sums = [func.coalesce(func.sum(CHUNKS.c[name]), 0).label(name) for name in _SUMMED]
    row = connection.execute(select(func.count().label("chunks"), *sums).where(mine)).one()
    errors: dict[str, int] = {}
    for told in connection.execute(select(CHUNKS.c.errors).where(mine, CHUNKS.c.failed > 0)).scalars():
        for code, count in (told or {}).items():
            errors[code] = errors.get(code, 0) + count
    return Tally(**row._mapping, errors=dict(sorted(errors.items())))


def _end_chunk(connection: Connection, now: ColumnElement[float], job: Job) -> None:
    this = and_(CHUNKS.c.batch_id == job.batch_id, CHUNKS.c.number == job.spec["chunk"])
    chunk = chunk_of(connection.execute(select(CHUNKS).where(this)).one())
    connection.execute(update(CHUNKS).where(this).values(batch_course.outcome(chunk, job, now)))


def _more(connection: Connection, batch: Batch) -> bool:
    """Whether chunks are to be waited for; of a canceled batch those alone that are in the queue, or run."""
    begun = CHUNKS.c.job_id.is_not(None) if batch.cancel_requested else true()
    left = exists().where(CHUNKS.c.batch_id == batch.id, CHUNKS.c.ended_at.is_(None), begun)
    return bool(connection.execute(select(left)).scalar_one())
