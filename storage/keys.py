"""API keys: SQLite and PostgreSQL. Times are the database's."""

from typing import Any

from sqlalchemy import Row, and_, func, insert, or_, select, update

from storage.access_tables import API_KEYS
from storage.cursors import decode_cursor, page_of
from storage.database import Database, before
from storage.errors import ApiKeyNotFound, Conflict
from storage.key_records import USED_EVERY_S, ApiKey, NewSecret, Scope, Stored, checked_tenant, new_secret
from storage.plain import storable
from storage.records import Page, new_id


class SqlKeys:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._now = database.now

    def create(
        self, tenant_id: str, name: str, scope: Scope, *, lasts_s: float | None = None
    ) -> tuple[ApiKey, NewSecret]:
        made = new_secret()
        row = {
            "id": new_id(), "tenant_id": checked_tenant(tenant_id), "name": storable(name),
            "prefix": made.prefix, "sha256": made.sha256, "scope": scope.value, "created_at": self._now,
            "expires_at": None if lasts_s is None else self._now + lasts_s,
        }  # fmt: skip
        with self._database.write() as connection:
            return _key(connection.execute(insert(API_KEYS).values(row).returning(API_KEYS)).one()), made

    def stored(self, prefix: str) -> Stored | None:
        query = select(API_KEYS, self._now.label("now")).where(API_KEYS.c.prefix == prefix)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Stored(_key(row), row.sha256, row.now)

    def used(self, key: ApiKey) -> None:
        long_ago = or_(API_KEYS.c.last_used_at.is_(None), API_KEYS.c.last_used_at <= self._now - USED_EVERY_S)
        statement = update(API_KEYS).where(API_KEYS.c.id == key.id, long_ago).values(last_used_at=self._now)
        with self._database.write() as connection:
            connection.execute(statement)

    def list(
        self, tenant_id: str, *, prefix: str = "", limit: int = 50, cursor: str | None = None
    ) -> Page[ApiKey]:
        query = select(API_KEYS).where(API_KEYS.c.tenant_id == tenant_id)
        if prefix:
            query = query.where(API_KEYS.c.prefix.startswith(prefix, autoescape=True))
        if cursor is not None:
            query = query.where(before(API_KEYS.c, *decode_cursor(cursor)))
        query = query.order_by(API_KEYS.c.created_at.desc(), API_KEYS.c.id.desc()).limit(limit + 1)
        with self._database.read() as connection:
            return page_of([_key(row) for row in connection.execute(query)], limit)

    def get(self, tenant_id: str, key_id: str) -> ApiKey:
        query = select(API_KEYS).where(API_KEYS.c.id == key_id, API_KEYS.c.tenant_id == tenant_id)
        with self._database.read() as connection:
            return _found(connection.execute(query).one_or_none(), key_id)

    def rotate(self, tenant_id: str, key_id: str, *, grace_s: float) -> tuple[ApiKey, NewSecret]:
        made = new_secret()
        mine = and_(API_KEYS.c.id == key_id, API_KEYS.c.tenant_id == tenant_id)
        with self._database.write() as connection:
            found = connection.execute(
                select(API_KEYS, self._now.label("now")).where(mine).with_for_update()
            ).one_or_none()
            old = refuse_gone(_found(found, key_id), 0 if found is None else found.now)
            lasts_s = None if old.expires_at is None else old.expires_at - old.created_at
            ends_at = self._now + grace_s
            if old.expires_at is not None:  # the grace never makes a key last longer
                least = func.min if connection.dialect.name == "sqlite" else func.least
                ends_at = least(ends_at, old.expires_at)
            connection.execute(update(API_KEYS).where(mine).values(expires_at=ends_at))
            row = {
                "id": new_id(), "tenant_id": tenant_id, "name": old.name, "prefix": made.prefix,
                "sha256": made.sha256, "scope": old.scope.value, "created_at": self._now,
                "expires_at": None if lasts_s is None else self._now + lasts_s,
            }  # fmt: skip
            return _key(connection.execute(insert(API_KEYS).values(row).returning(API_KEYS)).one()), made

    def revoke(self, tenant_id: str, key_id: str) -> ApiKey:
        mine = and_(API_KEYS.c.id == key_id, API_KEYS.c.tenant_id == tenant_id)
        values = {"revoked_at": func.coalesce(API_KEYS.c.revoked_at, self._now)}
        with self._database.write() as connection:
            row = connection.execute(update(API_KEYS).where(mine).values(values).returning(API_KEYS))
            return _found(row.one_or_none(), key_id)

    def any(self) -> bool:
        lasting = or_(API_KEYS.c.expires_at.is_(None), API_KEYS.c.expires_at > self._now)
        query = select(API_KEYS.c.id).where(API_KEYS.c.revoked_at.is_(None), lasting).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None


def refuse_gone(key: ApiKey, now: float) -> ApiKey:
    """Raises Conflict for a key that no longer holds: rotating it would bring it back."""
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        raise Conflict(f"Key {key.prefix} no longer holds: create another.")
    return key


def _found(row: Row[Any] | None, key_id: str) -> ApiKey:
    if row is None:
        raise ApiKeyNotFound(f"There is no API key {key_id}.")
    return _key(row)


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        row.id, row.tenant_id, row.name, row.prefix, Scope(row.scope), row.created_at, row.expires_at,
        row.revoked_at, row.last_used_at,
    )  # fmt: skip
