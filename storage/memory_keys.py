"""The in-memory twin of API keys."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from storage.errors import ApiKeyNotFound
from storage.key_records import USED_EVERY_S, ApiKey, NewSecret, Scope, Stored, checked_tenant, new_secret
from storage.keys import refuse_gone
from storage.memory_jobs import page_of_all
from storage.plain import storable
from storage.records import Page, new_id


class MemoryKeys:
    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._lock = threading.RLock()
        self._keys: dict[str, tuple[ApiKey, str]] = {}  # by id, with the secret's digest

    def create(
        self, tenant_id: str, name: str, scope: Scope, *, lasts_s: float | None = None
    ) -> tuple[ApiKey, NewSecret]:
        made, now = new_secret(), self.clock()
        ends_at = None if lasts_s is None else now + lasts_s
        key = ApiKey(
            new_id(), checked_tenant(tenant_id), storable(name) or "", made.prefix, scope, now, ends_at,
            None, None,
        )  # fmt: skip
        with self._lock:
            self._keys[key.id] = key, made.sha256
        return key, made

    def stored(self, prefix: str) -> Stored | None:
        with self._lock:
            for key, sha256 in self._keys.values():
                if key.prefix == prefix:
                    return Stored(key, sha256, self.clock())
        return None

    def used(self, key: ApiKey) -> None:
        with self._lock:
            known, now = self._keys[key.id][0], self.clock()
            if known.last_used_at is None or known.last_used_at <= now - USED_EVERY_S:
                self._put(replace(known, last_used_at=now))

    def list(
        self, tenant_id: str, *, prefix: str = "", limit: int = 50, cursor: str | None = None
    ) -> Page[ApiKey]:
        with self._lock:
            mine = [key for key, _ in self._keys.values() if key.tenant_id == tenant_id]
        return page_of_all([key for key in mine if key.prefix.startswith(prefix)], limit, cursor)

    def get(self, tenant_id: str, key_id: str) -> ApiKey:
        with self._lock:
            key, _ = self._keys.get(key_id, (None, ""))
        if key is None or key.tenant_id != tenant_id:
            raise ApiKeyNotFound(f"There is no API key {key_id}.")
        return key

    def rotate(self, tenant_id: str, key_id: str, *, grace_s: float) -> tuple[ApiKey, NewSecret]:
        with self._lock:
            now = self.clock()
            old = refuse_gone(self.get(tenant_id, key_id), now)
            lasts_s = None if old.expires_at is None else old.expires_at - old.created_at
            ends_at = now + grace_s if old.expires_at is None else min(now + grace_s, old.expires_at)
            self._put(replace(old, expires_at=ends_at))
            return self.create(tenant_id, old.name, old.scope, lasts_s=lasts_s)

    def revoke(self, tenant_id: str, key_id: str) -> ApiKey:
        with self._lock:
            key = self.get(tenant_id, key_id)
            return self._put(replace(key, revoked_at=key.revoked_at or self.clock()))

    def any(self) -> bool:
        with self._lock:
            now = self.clock()
            return any(
                key.revoked_at is None and (key.expires_at is None or key.expires_at > now)
                for key, _ in self._keys.values()
            )

    def _put(self, key: ApiKey) -> ApiKey:
        self._keys[key.id] = key, self._keys[key.id][1]
        return key
