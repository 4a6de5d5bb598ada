"""Rows of idempotency keys: under which key a job was added."""

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, String, bindparam, select

from storage import transitions
from storage.records import IdempotencyKey, Job
from storage.rows import job_of
from storage.tables import IDEMPOTENCY_KEYS, JOBS

T = TypeVar("T")
_KEY = IDEMPOTENCY_KEYS.c
_REMEMBERED = (  # made once
    select(JOBS, _KEY.sha256.label("key_sha256"))
    .join(IDEMPOTENCY_KEYS, _KEY.job_id == JOBS.c.id)
    .where(
        _KEY.tenant_id == bindparam("of_tenant", type_=String),
        _KEY.key == bindparam("under_key", type_=String),
    )
)


class KeyKnown(Exception):
    """Another submit under the same key was first: this one is to be rolled back."""


def once(added: Callable[[], T | None], add: Callable[[], T]) -> T:
    """What is added now, or was before under this key, also where two submits under one key meet."""
    while True:
        with contextlib.suppress(KeyKnown):
            return add()
        known = added()
        if known is not None:
            return known


def remember(
    connection: Connection, into: Any, now: ColumnElement[float], job: Job, idempotency: IdempotencyKey
) -> None:
    """`into`: the dialect's INSERT. PostgreSQL waits here for another transaction that adds the same key.

    Raises KeyKnown.
    """
    row = {
        "tenant_id": job.tenant_id, "key": idempotency.key, "sha256": idempotency.sha256,
        "job_id": job.id, "created_at": now,
    }  # fmt: skip
    statement = into(IDEMPOTENCY_KEYS).values(row).on_conflict_do_nothing()
    if connection.execute(statement.returning(IDEMPOTENCY_KEYS.c.key)).one_or_none() is None:
        raise KeyKnown


def remembered(connection: Connection, tenant_id: str, idempotency: IdempotencyKey) -> Job | None:
    """Raises KeyReused."""
    asked = {"of_tenant": tenant_id, "under_key": idempotency.key}
    row = connection.execute(_REMEMBERED, asked).one_or_none()
    if row is None:
        return None
    transitions.refuse_another_request(idempotency, row.key_sha256, row.id)
    return job_of(row)
