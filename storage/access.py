"""Who may do what, and how much of it: protocols of storage/stores.py."""

from typing import Protocol

from storage.key_records import ApiKey, NewSecret, Scope, Stored
from storage.limit_records import Held, Limit, Taken
from storage.records import GPU_QUEUE, Page


class Keys(Protocol):
    """API keys. Secrets are given out once, when they are made; what is kept is their SHA-256."""

    def create(
        self, tenant_id: str, name: str, scope: Scope, *, lasts_s: float | None = None
    ) -> tuple[ApiKey, NewSecret]:
        """`lasts_s`: for how long, None: until it is revoked. Raises InvalidInput for a tenant's name that
        cannot be one."""

    def stored(self, prefix: str) -> Stored | None:
        """What is kept under this prefix, for `check` in storage/key_records.py to judge."""

    def used(self, key: ApiKey) -> None:
        """It was used now. Written only where that is news of USED_EVERY_S."""

    def list(
        self, tenant_id: str, *, prefix: str = "", limit: int = 50, cursor: str | None = None
    ) -> Page[ApiKey]:
        """Newest first, those gone too; `prefix`: what theirs begin with."""

    def get(self, tenant_id: str, key_id: str) -> ApiKey:
        """Raises ApiKeyNotFound, also for another tenant's key."""

    def rotate(self, tenant_id: str, key_id: str, *, grace_s: float) -> tuple[ApiKey, NewSecret]:
        """A new key of the same name, scope and length of life; the old one holds for grace_s more.
        Raises ApiKeyNotFound, Conflict for one that no longer holds."""

    def revoke(self, tenant_id: str, key_id: str) -> ApiKey:
        """From now on; a second time changes nothing. Raises ApiKeyNotFound."""

    def any(self) -> bool:
        """Whether there is a key that holds, of any tenant."""


class Limits(Protocol):
    """How much a tenant may do, and what it has. Claims look at JOBS_RUNNING and GPU_S_PER_DAY themselves."""

    def of(self, tenant_id: str) -> dict[Limit, float]:
        """Every limit; 0 is none."""

    def set(self, tenant_id: str, limit: Limit, value: float | None) -> None:
        """For this tenant; None: as the settings say."""

    def held(self, tenant_id: str, *, queue: str = GPU_QUEUE) -> Held:
        """What it has now; of running jobs, those of this queue."""


class Rates(Protocol):
    """Token buckets, by name. They never raise."""

    def take(self, name: str, *, per_s: float, burst: int) -> Taken:
        """One token, if there is one."""
