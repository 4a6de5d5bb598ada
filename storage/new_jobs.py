"""A job's row as it begins."""

import functools
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert
from sqlalchemy.sql.dml import ReturningInsert

from storage.database import after_commit
from storage.meters import count_added
from storage.plain import plain
from storage.prepared import FromNow, Names, columns, moments, parameters
from storage.records import Job, Priority, Status, new_id
from storage.rows import Told, job_of, tell
from storage.tables import JOBS
from storage.tracing import traceparent


def job_values(
    tenant_id: str,
    kind: str,
    spec: Mapping[str, Any],
    *,
    queue: str,
    priority: Priority,
    **others: Any,
) -> dict[str, Any]:
    """Columns of a new row; `others` are further ones."""
    return {
        "id": new_id(), "tenant_id": tenant_id, "kind": kind, "queue": queue, "spec": plain(spec),
        "status": Status.QUEUED.value, "event_count": 1, "priority": priority.rank,
        "not_before": FromNow(), "created_at": FromNow(), "updated_at": FromNow(),
        "trace": traceparent(), **others,
    }  # fmt: skip


def insert_job(connection: Connection, now: ColumnElement[float], values: Mapping[str, Any]) -> Job:
    """The row and its first event."""
    statement = _adding(now, frozenset(values), moments(values))
    job = job_of(connection.execute(statement, parameters(values)).one())
    tell(connection, now, Told(job, 1, Status.QUEUED.value, {}))
    after_commit(connection, lambda: count_added(job))
    return job


@functools.lru_cache
def _adding(now: ColumnElement[float], names: Names, moments: Names) -> ReturningInsert[Any]:
    return insert(JOBS).values(columns(JOBS, now, sorted(names), moments)).returning(JOBS)
