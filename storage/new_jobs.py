"""A job's row as it begins."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert

from storage.database import after_commit
from storage.meters import count_added
from storage.plain import plain
from storage.records import Job, Priority, Status, new_id
from storage.rows import job_of, tell
from storage.tables import JOBS
from storage.tracing import traceparent


def job_values(
    now: ColumnElement[float],
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
        "not_before": now, "created_at": now, "updated_at": now, "trace": traceparent(), **others,
    }  # fmt: skip


def insert_job(connection: Connection, now: ColumnElement[float], values: Mapping[str, Any]) -> Job:
    """The row and its first event."""
    job = job_of(connection.execute(insert(JOBS).values(values).returning(JOBS)).one())
    tell(connection, now, job, 1, Status.QUEUED.value, {})
    after_commit(connection, lambda: count_added(job))
    return job
