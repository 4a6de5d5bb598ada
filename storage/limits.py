"""How much a tenant may do: SQLite and PostgreSQL. The settings say what holds for all, rows what for one.

Bytes are summed from what records say when they are asked for, so they never drift from what is there:
pictures, files, outputs of jobs, vectors that were sent, and results of batches. These are found by digest
and have no rows: each counts with the chunk that wrote it, as long as its batch's lists are kept.
"""

import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, String, and_, bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from storage.access_tables import TENANT_LIMITS
from storage.batch_tables import BATCHES, CHUNKS
from storage.database import Database
from storage.file_tables import FILES
from storage.library_tables import VECTORS
from storage.limit_records import NO_LIMITS, Held, Limit
from storage.records import GPU_QUEUE
from storage.rows import QUEUED, RUNNING
from storage.tables import IMAGES, JOBS, USAGE
from storage.usage import DAY_S

_ROOM_LOCK = 0x726F6F6D  # "room"


class Crowded(Exception):
    """The tenant's last place was taken between looking and locking: look again."""


class SqlLimits:
    def __init__(self, database: Database, defaults: Mapping[Limit, float] = NO_LIMITS) -> None:
        self._database = database
        self._now = database.now
        self._defaults = defaults
        self._insert: Any = sqlite.insert if database.engine.dialect.name == "sqlite" else postgresql.insert

    def of(self, tenant_id: str) -> dict[Limit, float]:
        query = select(TENANT_LIMITS.c.name, TENANT_LIMITS.c.value)
        with self._database.read() as connection:
            rows = connection.execute(query.where(TENANT_LIMITS.c.tenant_id == tenant_id)).all()
        own = {Limit(row.name): row.value for row in rows if row.name in list(Limit)}
        return dict(self._defaults) | own

    def set(self, tenant_id: str, limit: Limit, value: float | None) -> None:
        this = and_(TENANT_LIMITS.c.tenant_id == tenant_id, TENANT_LIMITS.c.name == limit.value)
        with self._database.write() as connection:
            if value is None:
                connection.execute(delete(TENANT_LIMITS).where(this))
                return
            row = self._insert(TENANT_LIMITS).values(tenant_id=tenant_id, name=limit.value, value=value)
            same = ["tenant_id", "name"]
            connection.execute(row.on_conflict_do_update(index_elements=same, set_={"value": value}))

    def held(self, tenant_id: str, *, queue: str = GPU_QUEUE) -> Held:
        mine = JOBS.c.tenant_id == tenant_id
        day = and_(USAGE.c.tenant_id == tenant_id, today(self._now))
        stored = (
            select(func.coalesce(func.sum(column), 0)).where(table.c.tenant_id == tenant_id, which)
            for table, column, which in (
                (IMAGES, IMAGES.c.byte_size, IMAGES.c.byte_size >= 0),
                (FILES, FILES.c.byte_size, FILES.c.byte_size >= 0),
                (JOBS, JOBS.c.outputs_bytes, JOBS.c.outputs_bytes > 0),
                (VECTORS, VECTORS.c.files_bytes, VECTORS.c.files_bytes > 0),
            )
        )
        results = (
            select(func.coalesce(func.sum(CHUNKS.c.results_bytes), 0))
            .join_from(BATCHES, CHUNKS, CHUNKS.c.batch_id == BATCHES.c.id)
            .where(BATCHES.c.tenant_id == tenant_id, BATCHES.c.outputs_expired_at.is_(None))
            .where(CHUNKS.c.results_bytes > 0)
        )
        counts = (
            select(func.count()).select_from(JOBS).where(mine, QUEUED),
            select(func.count()).select_from(JOBS).where(mine, RUNNING, JOBS.c.queue == queue),
            select(func.coalesce(func.sum(USAGE.c.gpu_s), 0.0)).where(day),
        )
        each = [query.scalar_subquery() for query in (*counts, *stored, results)]
        with self._database.read() as connection:
            waiting, running, gpu_s, *sizes = connection.execute(select(*each)).one()
        return Held(waiting, running, float(gpu_s), sum(int(size) for size in sizes))


def today(now: ColumnElement[float]) -> ColumnElement[bool]:
    """Rows of usage of this day (UTC)."""
    return USAGE.c.day > now / DAY_S - 1


def full_tenants(now: ColumnElement[float], defaults: Mapping[Limit, float]) -> Select[Any]:
    """(tenant_id) of those that may have no more running in this queue now. Parameter: in_queue.

    One look at the running rows, and one at the sums of this day.
    """
    queue: ColumnElement[str] = bindparam("in_queue", type_=String)
    running = _at_limit(
        JOBS.c.tenant_id,
        func.count(),
        Limit.JOBS_RUNNING,
        defaults,
        and_(RUNNING, JOBS.c.queue == queue),
    )
    spent = _at_limit(
        USAGE.c.tenant_id,
        func.sum(USAGE.c.gpu_s),
        Limit.GPU_S_PER_DAY,
        defaults,
        and_(today(now), queue == GPU_QUEUE),
    )
    return select(running.union_all(spent).subquery("full_tenants").c.tenant_id)


def _at_limit(
    tenant_id: ColumnElement[str],
    reached: ColumnElement[Any],
    limit: Limit,
    defaults: Mapping[Limit, float],
    which: ColumnElement[bool],
) -> Select[Any]:
    own = and_(TENANT_LIMITS.c.tenant_id == tenant_id, TENANT_LIMITS.c.name == limit.value)
    most = func.coalesce(TENANT_LIMITS.c.value, defaults[limit])
    rows = select(tenant_id.label("tenant_id")).select_from(tenant_id.table.outerjoin(TENANT_LIMITS, own))
    return (
        rows.where(which).group_by(tenant_id, TENANT_LIMITS.c.value).having(and_(most > 0, reached >= most))
    )


def room_for(connection: Connection, queue: str, tenant_id: str, most: float) -> float:
    """How many more a tenant may run that may run so many (0: any number). Its claims go one by one, or two
    at once would both find the last place free. Raises Crowded where that was taken meanwhile."""
    if not most:
        return math.inf
    if connection.dialect.name != "sqlite":  # which has one writer anyhow
        place = func.hashtext(f"{queue} {tenant_id}")
        connection.execute(select(func.pg_advisory_xact_lock(_ROOM_LOCK, place)))
    mine = and_(RUNNING, JOBS.c.queue == queue, JOBS.c.tenant_id == tenant_id)
    room = most - connection.execute(select(func.count()).select_from(JOBS).where(mine)).scalar_one()
    if room < 1:
        raise Crowded
    return room
