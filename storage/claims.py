"""Which row a claim takes: who may be taken, and who is first. Computed when it is asked; nothing ages rows.

Order: class, raised by one for each ageing time that the job has waited since it was added; then the tenant
served least recently (table turns, which each claim moves); then the oldest. In one class of one tenant the
oldest is always first, so only these heads are compared: what a claim costs does not grow with the queue.
The search is kept short: psycopg takes statements of more than 4096 characters to pieces each time.
"""

import functools
from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Integer,
    ScalarSelect,
    Select,
    SmallInteger,
    String,
    Subquery,
    Text,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningUpdate

from storage.access_tables import TENANT_LIMITS
from storage.limit_records import Limit
from storage.limits import full_tenants
from storage.records import Priority, Status
from storage.rows import QUEUED
from storage.tables import DRAINS, JOBS, PAUSES, TURNS

Clock = ColumnElement[float] | ScalarSelect[float]
Named = str | ColumnElement[str]
_TICK_S = 1e-6  # about the least that a double holds of today's time
ONE = literal_column("1", Integer)
"""A limit that is a parameter may be any number to PostgreSQL, which then plans anew at each call."""
_ROW = JOBS.alias("row")  # inside the searches for heads


def moment(now: ColumnElement[float]) -> ScalarSelect[float]:
    """The clock, read once in a statement instead of for every row."""
    return select(now).scalar_subquery()


def rank_at(now: Clock, ageing_s: float, row: Any = JOBS.c) -> ColumnElement[int]:
    """The class that a row counts as: its rank, less one for each ageing time waited. 0 is first."""
    last = len(Priority) - 1
    waited_s = now - row.created_at
    risen = [
        (or_(row.priority <= rank, waited_s >= ageing_s * (row.priority - rank)), rank)
        for rank in range(last)
    ]
    return case(*risen, else_=last)


def due(now: Clock, row: Any = JOBS.c) -> ColumnElement[bool]:
    """Queued rows whose time has come and is not over."""
    return and_(
        row.not_before <= now,
        or_(row.start_by.is_(None), row.start_by > now, row.started_at.is_not(None)),
        or_(row.finish_by.is_(None), row.finish_by > now),
    )


def waiting(queue: Named, now: Clock, row: Any = JOBS.c) -> ColumnElement[bool]:
    return and_(row.queue == queue, row.status == literal_column("'queued'"), due(now, row))


def unpaused(queue: Named) -> ColumnElement[bool]:
    return ~exists().where(PAUSES.c.queue == queue)


def oldest(queue: Named, tenant_id: Any, priority: Any, now: Clock, row: Any = JOBS.c) -> Select[Any]:
    """(id, created_at) of the first row of one class of one tenant: ix_jobs_queued has them in this order."""
    mine = and_(waiting(queue, now, row), row.tenant_id == tenant_id, row.priority == priority)
    return select(row.id, row.created_at).where(mine).order_by(row.created_at, row.id).limit(ONE)


def heads(queue: Named, now: Clock, *, waited_s: float = 0.0) -> Subquery:
    """(tenant_id, priority, created_at) of the oldest row of every class of every tenant that has waited so
    long; created_at is NULL where none has."""
    tenants, ranks = tenants_of(queue), union_all(*map(_rank, range(len(Priority)))).subquery("ranks")
    row = oldest(queue, tenants.c.tenant_id, ranks.c.priority, now, _ROW.c)
    if waited_s:
        row = row.where(_ROW.c.not_before <= now - waited_s)
    created_at = row.with_only_columns(_ROW.c.created_at).scalar_subquery()
    every = select(tenants.c.tenant_id, ranks.c.priority, created_at.label("created_at"))
    return every.select_from(tenants.join(ranks, true())).subquery("heads")


def _rank(rank: int) -> Select[Any]:
    return select(literal_column(str(rank), SmallInteger).label("priority"))


def tenants_of(queue: Named) -> Any:
    """The tenants that have rows in this queue, found by one step in the index for each of them: in its
    order, since for a minimum PostgreSQL reads all rows where its statistics are older than the queue."""
    here = and_(_ROW.c.queue == queue, _ROW.c.status == literal_column("'queued'"))
    least = select(_ROW.c.tenant_id).where(here).order_by(_ROW.c.tenant_id).limit(ONE)
    first = select(least.scalar_subquery().label("tenant_id"))
    tenants = first.cte("tenants", recursive=True)
    following = least.where(_ROW.c.tenant_id > tenants.c.tenant_id).correlate(tenants).scalar_subquery()
    return tenants.union_all(select(following).where(tenants.c.tenant_id.is_not(None)))


def best(now: Clock, ageing_s: float, limits: Mapping[Limit, float]) -> Select[Any]:
    """(tenant_id, priority, most) of the heads, best first; none of a paused queue, or for a drained worker,
    or of a tenant that has as much running as it may. `most`: how many that is, 0 for no limit.

    Parameters: in_queue, by_worker.
    """
    queue, worker = bindparam("in_queue", type_=String), bindparam("by_worker", type_=Text)
    head = heads(queue, now)
    turn = and_(TURNS.c.queue == queue, TURNS.c.tenant_id == head.c.tenant_id)
    undrained = ~exists().where(DRAINS.c.worker == worker)
    served_at = func.coalesce(TURNS.c.served_at, 0)
    own = and_(TENANT_LIMITS.c.tenant_id == head.c.tenant_id, TENANT_LIMITS.c.name == Limit.JOBS_RUNNING)
    most = func.coalesce(TENANT_LIMITS.c.value, limits[Limit.JOBS_RUNNING]).label("most")
    may = head.c.tenant_id.not_in(full_tenants(now, limits))
    return (
        select(head.c.tenant_id, head.c.priority, most)
        .select_from(head.outerjoin(TURNS, turn).outerjoin(TENANT_LIMITS, own))
        .where(head.c.created_at.is_not(None), unpaused(queue), undrained, may)
        .order_by(rank_at(now, ageing_s, head.c), served_at, head.c.created_at)
    )


def free(now: Clock) -> ColumnElement[bool]:
    """Is the oldest row of a class of a tenant that no other claim is taking at this moment.

    Parameters: in_queue, of_tenant, of_class.
    """
    queue, tenant_id = bindparam("in_queue", type_=String), bindparam("of_tenant", type_=String)
    row = oldest(queue, tenant_id, bindparam("of_class", type_=SmallInteger), now)
    row_id = row.with_only_columns(JOBS.c.id).with_for_update(skip_locked=True).scalar_subquery()
    return and_(JOBS.c.id == row_id, QUEUED)


def taking(now: ColumnElement[float]) -> ReturningUpdate[Any]:
    """The claim itself. Parameters: those of `free`, new_token, by_worker, by_process, for_s."""
    return _claimed(now, free(moment(now)))


def following(now: ColumnElement[float]) -> Select[Any]:
    """(id, kind, attempt, batch_id) of so many oldest rows of a class of a tenant.

    Parameters: those of `free`, so_many.
    """
    queue, tenant_id = bindparam("in_queue", type_=String), bindparam("of_tenant", type_=String)
    row = oldest(queue, tenant_id, bindparam("of_class", type_=SmallInteger), moment(now))
    facts = (JOBS.c.id, JOBS.c.kind, JOBS.c.attempt, JOBS.c.batch_id)
    return row.with_only_columns(*facts).limit(bindparam("so_many", type_=Integer))


def taking_these(now: ColumnElement[float]) -> ReturningUpdate[Any]:
    """A claim of rows by id, less those that another claim is taking. Parameters: those of `taking`, ids.

    (Searched for in the same statement, by old statistics the search is done again for each row.)
    """
    ids = bindparam("ids", type_=String, expanding=True)
    still = select(JOBS.c.id).where(JOBS.c.id.in_(ids), QUEUED).with_for_update(skip_locked=True)
    return _claimed(now, and_(JOBS.c.id.in_(still), QUEUED))


def _claimed(now: ColumnElement[float], which: ColumnElement[bool]) -> ReturningUpdate[Any]:
    values = {
        "status": Status.RUNNING.value, "attempt": JOBS.c.attempt + 1,
        "token": bindparam("new_token", type_=String), "worker": bindparam("by_worker", type_=Text),
        "worker_pid": bindparam("by_process", type_=Integer),
        "lease_until": now + bindparam("for_s", type_=Double()),
        "started_at": func.coalesce(JOBS.c.started_at, now), "updated_at": now, "claimed_at": now,
        "event_count": JOBS.c.event_count + 1,
    }  # fmt: skip
    return update(JOBS).where(which).values(values).returning(JOBS)


def served(connection: Connection, queue: str, tenant_id: str, now: ColumnElement[float]) -> None:
    """This tenant had its turn: it is last now, also within one tick of the database's clock."""
    connection.execute(_serving(connection.dialect.name, now), {"in_queue": queue, "of_tenant": tenant_id})


@functools.lru_cache
def _serving(dialect: str, now: ColumnElement[float]) -> Any:
    upsert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
    queue, tenant_id = bindparam("in_queue", type_=String), bindparam("of_tenant", type_=String)
    others = select(func.coalesce(func.max(TURNS.c.served_at), 0)).where(TURNS.c.queue == queue)
    last = others.scalar_subquery()
    at = case((now > last, now), else_=last + _TICK_S)
    turn = upsert(TURNS).values(queue=queue, tenant_id=tenant_id, served_at=at)
    return turn.on_conflict_do_update(
        index_elements=["queue", "tenant_id"], set_={"served_at": turn.excluded.served_at}
    )
