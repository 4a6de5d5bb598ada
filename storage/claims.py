"""Which row a claim takes: who may be taken, and who is first. One SELECT, computed when it is asked.

Order: class, raised by one for each ageing time that the job has waited since it was added; then the tenant
served least recently (table turns, which each claim moves); then the oldest.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, exists, func, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from storage.records import Priority
from storage.rows import QUEUED
from storage.tables import DRAINS, JOBS, PAUSES, TURNS

Clock = ColumnElement[float]
_TICK_S = 1e-6  # about the least that a double holds of today's time


def rank_at(now: Clock, ageing_s: float, row: Any = JOBS.c) -> ColumnElement[int]:
    """The class that a row counts as: its rank, less one for each ageing time waited. 0 is first."""
    waited_s = now - row.created_at
    risen = [
        (or_(row.priority <= rank, waited_s >= (row.priority - rank) * ageing_s), rank)
        for rank in range(len(Priority) - 1)
    ]
    return case(*risen, else_=len(Priority) - 1)


def waiting(queue: str | ColumnElement[str], now: Clock) -> ColumnElement[bool]:
    """Rows of a queue whose time has come and is not over."""
    return and_(
        JOBS.c.queue == queue,
        QUEUED,
        JOBS.c.not_before <= now,
        or_(JOBS.c.start_by.is_(None), JOBS.c.start_by > now, JOBS.c.started_at.is_not(None)),
        or_(JOBS.c.finish_by.is_(None), JOBS.c.finish_by > now),
    )


def eligible(queue: str, now: Clock) -> ColumnElement[bool]:
    """... and the queue is not paused."""
    return and_(waiting(queue, now), ~exists().where(PAUSES.c.queue == queue))


def ahead(rank: ColumnElement[int], place: tuple[Any, Any, Any]) -> ColumnElement[bool]:
    """Rows before this (rank, created_at, id)."""
    return tuple_(rank, JOBS.c.created_at, JOBS.c.id) < tuple_(*place)


def first(queue: str, worker: str, now: Clock, ageing_s: float) -> Select[Any]:
    """The id of the best row that no other claim is taking at this moment.

    10,000 rows of 3 tenants wait: see tests/integration/test_store_contracts_turns.py for what that costs.
    """
    turn = and_(TURNS.c.queue == JOBS.c.queue, TURNS.c.tenant_id == JOBS.c.tenant_id)
    served_at = func.coalesce(TURNS.c.served_at, 0)
    return (
        select(JOBS.c.id)
        .select_from(JOBS.outerjoin(TURNS, turn))
        .where(eligible(queue, now), ~exists().where(DRAINS.c.worker == worker))
        .order_by(rank_at(now, ageing_s), served_at, JOBS.c.created_at, JOBS.c.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=JOBS)
    )


def served(connection: Connection, queue: str, tenant_id: str, now: Clock) -> None:
    """This tenant had its turn: it is last now, also within one tick of the database's clock."""
    upsert: Any = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    others = select(func.coalesce(func.max(TURNS.c.served_at), 0)).where(TURNS.c.queue == queue)
    last = others.scalar_subquery()
    at = case((now > last, now), else_=last + _TICK_S)
    turn = upsert(TURNS).values(queue=queue, tenant_id=tenant_id, served_at=at)
    turn = turn.on_conflict_do_update(
        index_elements=["queue", "tenant_id"], set_={"served_at": turn.excluded.served_at}
    )
    connection.execute(turn)
