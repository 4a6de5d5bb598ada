"""Rows of the jobs table as values, and how a change is written: the row, its event and the webhook call that
the event asks for, all in the caller's transaction.
"""

import dataclasses
import functools
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    String,
    and_,
    bindparam,
    cast,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from storage.batch_tables import BATCHES
from storage.database import after_commit
from storage.deliveries import delivery_of
from storage.errors import JobNotFound, LeaseLost
from storage.meters import count_change
from storage.photographs import pasted_from
from storage.plain import ref_from_dict
from storage.prepared import FromNow, Names, columns, moments, parameters
from storage.records import Claim, Event, Job, Priority, Status
from storage.tables import DELIVERIES, EVENTS, JOBS
from storage.transitions import Change

# In literals, not parameters: so the planner sees that the partial indexes serve.
QUEUED = JOBS.c.status == literal_column("'queued'")
RUNNING = JOBS.c.status == literal_column("'running'")
_MEMBERS = tuple(member.name for member in dataclasses.fields(Job))
_PRIORITIES = tuple(Priority)
_OPEN = tuple(status.value for status in Status if not status.ended)


# Statements that are made once: to make one takes about as long as the database takes to answer it.
_ONE_NAMED = select(JOBS).where(
    JOBS.c.id == bindparam("this_job", type_=String), JOBS.c.tenant_id == bindparam("of_tenant", type_=String)
)


def read_named(connection: Connection, tenant_id: str, job_id: str) -> Job:
    """Raises JobNotFound."""
    values = {"this_job": job_id, "of_tenant": tenant_id}
    return found(connection.execute(_ONE_NAMED, values).one_or_none(), job_id)


def named(tenant_id: str, job_id: str) -> ColumnElement[bool]:
    return and_(JOBS.c.id == job_id, JOBS.c.tenant_id == tenant_id)


def held(claim: Claim) -> ColumnElement[bool]:
    """The row that this claim may write: still running this attempt, under this token."""
    return and_(
        JOBS.c.id == claim.job.id, JOBS.c.attempt == claim.job.attempt, JOBS.c.token == claim.token, RUNNING
    )


def lost(claim: Claim) -> LeaseLost:
    return LeaseLost(f"Attempt {claim.job.attempt} of job {claim.job.id} no longer holds its lease.")


def found(row: Row[Any] | None, job_id: str) -> Job:
    if row is None:
        raise JobNotFound(f"There is no job {job_id}.")
    return job_of(row)


def open_job_naming(connection: Connection, thing_id: str, tenant_id: str | None) -> str | None:
    """A job, or batch, that has not ended and names this thing, in whatever member of its spec: ids are long
    and random. Of any tenant where none is given."""
    for table, is_open in ((JOBS, JOBS.c.status.in_(_OPEN)), (BATCHES, BATCHES.c.ended_at.is_(None))):
        query = select(table.c.id).where(is_open, cast(table.c.spec, String).contains(thing_id))
        if tenant_id is not None:
            query = query.where(table.c.tenant_id == tenant_id)
        naming: str | None = connection.execute(query.limit(1)).scalar_one_or_none()
        if naming is not None:
            return naming
    return None


def open_job_pasting_into(connection: Connection, image_id: str, tenant_id: str) -> str | None:
    """A job that has not ended and pastes into this picture, which the inversion it starts from is of."""
    of_image = and_(JOBS.c.kind == "invert", JOBS.c.spec["image"].as_string() == image_id)
    inversions = set(
        connection.execute(select(JOBS.c.id).where(of_image, JOBS.c.tenant_id == tenant_id)).scalars()
    )
    if not inversions:
        return None
    pasting = and_(JOBS.c.status.in_(_OPEN), JOBS.c.kind.in_(("edit", "apply")))
    query = select(JOBS.c.id, JOBS.c.spec).where(pasting, JOBS.c.tenant_id == tenant_id)
    return next((row.id for row in connection.execute(query) if inversions & pasted_from(row.spec)), None)


def job_of(row: Row[Any]) -> Job:
    columns = row._mapping
    members = {name: columns[name] for name in _MEMBERS}
    members["status"] = Status(row.status)
    members["priority"] = _PRIORITIES[row.priority]
    members["checkpoint"] = ref_from_dict(row.checkpoint) if row.checkpoint else None
    members["outputs"] = {name: ref_from_dict(ref) for name, ref in (row.outputs or {}).items()}
    members["result"] = row.result or {}
    return Job(**members)


def change_row(
    connection: Connection,
    now: ColumnElement[float],
    job: Job,
    change: Change,
    *,
    claim: Claim | None = None,
) -> tuple[Job, tuple["Told", ...]]:
    """Write what was decided of this row as it was read: the row, and what is to be told of it (`tell`) in
    this transaction. The caller has locked it, or decided by what does not change while the claim holds.
    Raises LeaseLost."""
    values = change.values | {"updated_at": FromNow()}
    if "ended_at" in values:
        values["ended_token"] = None if claim is None else claim.token
    if "outputs" in values:
        values["outputs_bytes"] = sum(ref["byte_size"] for ref in values["outputs"].values())
    names = frozenset(values)
    statement = _changing(
        now, names, moments(values), told=change.event is not None, claimed=claim is not None
    )
    this = {"this_job": job.id, "was": job.status.value, "in_attempt": job.attempt}
    if claim is not None:
        this["under_token"] = claim.token
    row = connection.execute(statement, parameters(values) | this).one_or_none()
    if row is None and claim is not None:
        raise lost(claim)
    assert row is not None, "the caller has locked it"
    changed = job_of(row)
    after_commit(connection, lambda: count_change(job, changed))
    if change.event is None:
        return changed, ()
    return changed, (Told(changed, row.event_count, change.event, change.data),)


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """An event that is to be kept: of the row as it is now, the number that its count gave."""

    job: Job
    number: int
    type: str
    data: dict[str, Any]


def tell(connection: Connection, now: ColumnElement[float], *events: Told) -> None:
    """Keep events, each of another job, and the webhook calls that they ask for."""
    if not events:
        return
    rows = [
        parameters(
            {
                "job_id": told.job.id, "number": told.number, "type": told.type, "data": told.data,
                "created_at": FromNow(),
            }
        )
        for told in events
    ]  # fmt: skip
    kept = connection.execute(_telling(now), rows if len(rows) > 1 else rows[0])
    at = {row.job_id: row.created_at for row in kept}
    for told in events:
        event = Event(told.job.id, told.number, told.type, told.data, at[told.job.id])
        delivery = delivery_of(told.job, event)
        if delivery is not None:
            connection.execute(insert(DELIVERIES).values(dataclasses.asdict(delivery)))


@functools.lru_cache
def _changing(
    now: ColumnElement[float], names: Names, moments: Names, *, told: bool, claimed: bool
) -> ReturningUpdate[Any]:
    this = [
        JOBS.c.id == bindparam("this_job", type_=String),
        JOBS.c.status == bindparam("was", type_=String),
        JOBS.c.attempt == bindparam("in_attempt", type_=Integer),
    ]
    if claimed:
        this += [JOBS.c.token == bindparam("under_token", type_=String), RUNNING]
    values = columns(JOBS, now, sorted(names), moments)
    if told:
        values["event_count"] = JOBS.c.event_count + 1
    return update(JOBS).where(*this).values(values).returning(JOBS)


@functools.lru_cache
def _telling(now: ColumnElement[float]) -> ReturningInsert[Any]:
    names = ("job_id", "number", "type", "data", "created_at")
    values = columns(EVENTS, now, names, frozenset({"created_at"}))
    return insert(EVENTS).values(values).returning(EVENTS.c.job_id, EVENTS.c.created_at)
