"""Locks that all processes share: a row with an expiry. No transaction or connection is held meanwhile."""

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite

from storage.database import Database
from storage.errors import StorageUnavailable
from storage.tables import LOCKS


class SqlLocks:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert: Any = sqlite.insert if database.engine.dialect.name == "sqlite" else postgresql.insert

    @contextlib.contextmanager
    def hold(self, name: str, *, lease_s: float) -> Iterator[bool]:
        """Whoever works longer than lease_s may find that another has begun: keep passes idempotent."""
        token = secrets.token_hex(16)
        held = self._take(name, token, lease_s)
        try:
            yield held
        finally:
            if held:
                # An unreachable database must not hide how the pass went: the lock expires by itself.
                with contextlib.suppress(StorageUnavailable), self._database.write() as connection:
                    connection.execute(delete(LOCKS).where(LOCKS.c.name == name, LOCKS.c.token == token))

    def _take(self, name: str, token: str, lease_s: float) -> bool:
        now = self._database.now
        wanted = self._insert(LOCKS).values(name=name, token=token, expires_at=now + lease_s)
        wanted = wanted.on_conflict_do_update(
            index_elements=["name"],
            set_={"token": wanted.excluded.token, "expires_at": wanted.excluded.expires_at},
            where=LOCKS.c.expires_at <= now,
        )
        with self._database.write() as connection:
            return connection.execute(wanted.returning(LOCKS.c.token)).one_or_none() is not None
