"""The outbox of webhooks: SQLite and PostgreSQL. Rows are added where events are (storage/rows.py).

Whoever takes a row moves its next_at to the end of a lease; (tries, next_at) is then what tells this taking
from any other, and each later write checks it.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, exists, not_, select, update

from storage.database import Database
from storage.errors import Conflict, JobNotFound, NotFound
from storage.records import Delivery
from storage.tables import DELIVERIES, JOBS

_PENDING = DELIVERIES.c.status == "pending"


class SqlOutbox:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._now = database.now

    def due(self, *, lease_s: float, limit: int = 10, without: Collection[str] = ()) -> tuple[Delivery, ...]:
        wanted = (not_(DELIVERIES.c.url.startswith(beginning, autoescape=True)) for beginning in without)
        due = and_(_PENDING, DELIVERIES.c.next_at <= self._now, *wanted)
        oldest = select(DELIVERIES.c.id).where(due).order_by(DELIVERIES.c.next_at, DELIVERIES.c.id)
        with self._database.read() as connection:  # mostly there are none, and then nobody has to wait
            if not connection.execute(select(exists(oldest))).scalar_one():
                return ()
        with self._database.write() as connection:
            ids = connection.execute(oldest.limit(limit).with_for_update(skip_locked=True)).scalars().all()
            taken = {"tries": DELIVERIES.c.tries + 1, "next_at": self._now + lease_s}
            statement = update(DELIVERIES).where(DELIVERIES.c.id.in_(ids)).values(taken)
            rows = {row.id: row for row in connection.execute(statement.returning(DELIVERIES))}
        return tuple(_delivery(rows[delivery_id]) for delivery_id in ids)

    def delivered(self, delivery: Delivery) -> None:
        self._set(delivery, {"status": "delivered", "ended_at": self._now})

    def postponed(self, delivery: Delivery, *, error: str, after_s: float | None) -> None:
        if after_s is None:
            self._set(delivery, {"status": "failed", "ended_at": self._now, "last_error": error})
        else:
            self._set(delivery, {"next_at": self._now + after_s, "last_error": error})

    def list(self, tenant_id: str, job_id: str) -> tuple[Delivery, ...]:
        own = exists().where(JOBS.c.id == job_id, JOBS.c.tenant_id == tenant_id)
        query = select(DELIVERIES).where(DELIVERIES.c.job_id == job_id)
        with self._database.read() as connection:
            if not connection.execute(select(own)).scalar_one():
                raise JobNotFound(f"There is no job {job_id}.")
            return tuple(map(_delivery, connection.execute(query.order_by(DELIVERIES.c.event_number))))

    def resend(self, tenant_id: str, job_id: str, delivery_id: str) -> Delivery:
        if all(delivery.id != delivery_id for delivery in self.list(tenant_id, job_id)):
            raise NotFound(f"Job {job_id} has no delivery {delivery_id}.")
        again = {"status": "pending", "ended_at": None, "tries": 0, "next_at": self._now}
        statement = update(DELIVERIES).where(DELIVERIES.c.id == delivery_id, not_(_PENDING)).values(again)
        with self._database.write() as connection:
            row = connection.execute(statement.returning(DELIVERIES)).one_or_none()
        if row is None:
            raise Conflict(f"Delivery {delivery_id} is still being tried.")
        return _delivery(row)

    def _set(self, delivery: Delivery, values: dict[str, Any]) -> None:
        with self._database.write() as connection:
            connection.execute(update(DELIVERIES).where(_held(delivery)).values(values))


def _held(delivery: Delivery) -> ColumnElement[bool]:
    return and_(
        DELIVERIES.c.id == delivery.id,
        _PENDING,
        DELIVERIES.c.tries == delivery.tries,
        DELIVERIES.c.next_at == delivery.next_at,
    )


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**row._mapping)
