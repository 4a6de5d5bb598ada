"""The jobs table seen as queues: what waits, what runs, who is ahead, what is paused or drained."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, exists, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from storage.claims import ahead, eligible, rank_at, waiting
from storage.database import Database
from storage.records import GPU_QUEUE, Job, Queue
from storage.rows import QUEUED, RUNNING, job_of
from storage.tables import DRAINS, JOBS, PAUSES


class SqlQueues:
    """The half of SqlJobs that looks at many rows, or at none."""

    def __init__(self, database: Database, *, ageing_s: float = 600.0) -> None:
        self._database = database
        self._now = database.now
        self._ageing_s = ageing_s
        self._insert: Any = sqlite.insert if database.engine.dialect.name == "sqlite" else postgresql.insert

    def eligible(self, queue: str) -> int:
        return self._count(eligible(queue, self._now))

    def position(self, job: Job) -> int:
        now, ageing_s = self._now, self._ageing_s
        own = JOBS.alias().c
        rank = select(rank_at(now, ageing_s, own)).where(own.id == job.id).scalar_subquery()
        place = (rank, literal(job.created_at), literal(job.id))
        return self._count(waiting(job.queue, now), ahead(rank_at(now, ageing_s), place))

    def outranked(self, job: Job, *, waited_s: float = 0.0) -> bool:
        now, ageing_s = self._now, self._ageing_s
        own = JOBS.alias().c
        rank = select(rank_at(now, ageing_s, own)).where(own.id == job.id).scalar_subquery()
        higher = and_(
            eligible(job.queue, now), JOBS.c.not_before <= now - waited_s, rank_at(now, ageing_s) < rank
        )
        with self._database.read() as connection:
            return connection.execute(select(exists().where(higher))).scalar_one()

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

    def _queued(self, connection: Connection) -> list[Row[Any]]:
        due = func.count().filter(waiting(JOBS.c.queue, self._now))
        query = select(
            JOBS.c.queue,
            func.count().label("queued"),
            due.label("eligible"),
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
