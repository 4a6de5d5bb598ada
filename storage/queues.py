"""The jobs table seen as queues: what waits, what runs, who is ahead, what is paused or drained."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    ScalarSelect,
    and_,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite

from storage.batch_tables import BATCHES
from storage.claims import Clock, due, heads, moment, rank_at, unpaused, waiting
from storage.database import Database
from storage.limit_records import NO_LIMITS, Limit
from storage.limits import full_tenants
from storage.positions import position
from storage.records import GPU_QUEUE, Job, Priority, Queue, Standing, Status, Usage
from storage.rows import QUEUED, RUNNING, job_of
from storage.tables import DRAINS, JOBS, PAUSES, USAGE


class SqlQueues:
    """The half of SqlJobs that looks at many rows, or at none."""

    def __init__(
        self, database: Database, *, ageing_s: float = 600.0, limits: Mapping[Limit, float] = NO_LIMITS
    ) -> None:
        self._database = database
        self._now = database.now
        self._ageing_s = ageing_s
        self._limits = limits
        self._insert: Any = sqlite.insert if database.engine.dialect.name == "sqlite" else postgresql.insert

    def eligible(self, queue: str) -> int:
        full = full_tenants(self._now, self._limits).params(in_queue=queue)
        may = JOBS.c.tenant_id.not_in(full)
        return self._count(waiting(queue, moment(self._now)), unpaused(queue), may)

    def position(self, job: Job) -> int:
        with self._database.read() as connection:
            return position(connection, self._now, job, self._ageing_s)

    def ahead(self, job: Job) -> dict[Priority, int]:
        now = moment(self._now)
        rank = rank_at(now, self._ageing_s)
        before = tuple_(rank, JOBS.c.created_at, JOBS.c.id)
        place = tuple_(self._rank(job, now), literal(job.created_at), literal(job.id))
        counted = select(rank.label("rank"), func.count()).where(waiting(job.queue, now), before < place)
        with self._database.read() as connection:
            rows = connection.execute(counted.group_by("rank"))
            counts = {int(row.rank): int(row[1]) for row in rows}
        return {priority: counts.get(priority.rank, 0) for priority in Priority}

    def outranked(self, job: Job, *, waited_s: float = 0.0) -> bool:
        now = moment(self._now)
        head = heads(job.queue, now, waited_s=waited_s)
        higher = rank_at(now, self._ageing_s, head.c) < self._rank(job, now)
        outranked = exists().where(head.c.created_at.is_not(None), higher, unpaused(job.queue))
        batch_paused = exists().where(BATCHES.c.id == job.batch_id, BATCHES.c.paused)
        query = select(or_(outranked, batch_paused))
        with self._database.read() as connection:
            return bool(connection.execute(query).scalar_one())

    def running(self) -> tuple[Job, ...]:
        query = select(JOBS).where(RUNNING).order_by(JOBS.c.worker, JOBS.c.id)
        with self._database.read() as connection:
            return tuple(job_of(row) for row in connection.execute(query))

    def queues(self) -> tuple[Queue, ...]:
        with self._database.read() as connection:
            paused = set(connection.execute(select(PAUSES.c.queue)).scalars())
            queued = {row.queue: row for row in self._queued(connection)}
            counts = select(JOBS.c.queue, func.count()).where(RUNNING).group_by(JOBS.c.queue)
            running = {row[0]: row[1] for row in connection.execute(counts)}
        names = sorted({GPU_QUEUE, *paused, *queued, *running})
        return tuple(
            _queue(name, queued.get(name), running.get(name, 0), paused=name in paused) for name in names
        )

    def standing(self) -> tuple[Standing, ...]:
        now = moment(self._now)
        may = and_(due(now), ~exists().where(PAUSES.c.queue == JOBS.c.queue))
        groups = (JOBS.c.queue, JOBS.c.kind)
        waits = now - func.min(JOBS.c.not_before).filter(may)
        queued = select(*groups, func.count(), func.count().filter(may), func.coalesce(waits, 0.0))
        running = select(*groups, func.count()).where(RUNNING).group_by(*groups)
        with self._database.read() as connection:
            waiting = connection.execute(queued.where(QUEUED).group_by(*groups)).all()
            busy = connection.execute(running).all()
        return tuple(
            Standing(row[0], row[1], status, *row[2:])
            for status, rows in ((Status.QUEUED, waiting), (Status.RUNNING, busy))
            for row in rows
        )

    def usage(self, tenant_id: str | None, *, since_day: int) -> tuple[Usage, ...]:
        query = select(USAGE).where(USAGE.c.day >= since_day)
        if tenant_id is not None:
            query = query.where(USAGE.c.tenant_id == tenant_id)
        query = query.order_by(USAGE.c.day.desc(), USAGE.c.tenant_id, USAGE.c.kind)
        with self._database.read() as connection:
            return tuple(Usage(**row._mapping) for row in connection.execute(query))

    def pause(self, queue: str, paused: bool) -> None:
        with self._database.write() as connection:
            if paused:
                connection.execute(self._insert(PAUSES).values(queue=queue).on_conflict_do_nothing())
            else:
                connection.execute(delete(PAUSES).where(PAUSES.c.queue == queue))

    def drain(self, worker: str, draining: bool) -> None:
        with self._database.write() as connection:
            if draining:
                row = {"worker": worker, "created_at": self._now}
                connection.execute(self._insert(DRAINS).values(row).on_conflict_do_nothing())
            else:
                connection.execute(delete(DRAINS).where(DRAINS.c.worker == worker))

    def draining(self) -> frozenset[str]:
        with self._database.read() as connection:
            return frozenset(connection.execute(select(DRAINS.c.worker)).scalars())

    def _rank(self, job: Job, now: Clock) -> ScalarSelect[int]:
        """What the row counts as, by its present class: the job at hand may be older."""
        own = JOBS.alias().c
        return select(rank_at(now, self._ageing_s, own)).where(own.id == job.id).scalar_subquery()

    def _queued(self, connection: Connection) -> list[Row[Any]]:
        query = select(
            JOBS.c.queue,
            func.count().label("queued"),
            func.count().filter(due(moment(self._now))).label("eligible"),
            func.min(JOBS.c.created_at).label("oldest_created_at"),
        )
        return list(connection.execute(query.where(QUEUED).group_by(JOBS.c.queue)))

    def _count(self, *conditions: ColumnElement[bool]) -> int:
        with self._database.read() as connection:
            return connection.execute(select(func.count()).select_from(JOBS).where(*conditions)).scalar_one()


def _queue(name: str, row: Row[Any] | None, running: int, *, paused: bool) -> Queue:
    if row is None:
        return Queue(name, paused, 0, 0, running, None)
    return Queue(name, paused, row.queued, 0 if paused else row.eligible, running, row.oldest_created_at)
