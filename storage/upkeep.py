"""The stores that only upkeep works with: webhook calls to make, and what is no longer needed."""

from collections.abc import Collection, Iterable
from typing import Protocol

from storage.records import Delivery, Job


class Outbox(Protocol):
    """Webhook calls to make. Rows come from the jobs' own transactions: each event that a job's webhook
    asks for has one, under the id `<job id>-<event number>`."""

    def due(self, *, lease_s: float, limit: int = 10, without: Collection[str] = ()) -> tuple[Delivery, ...]:
        """Pending deliveries whose time has come, oldest first, each taken for lease_s; `tries` counts up.

        `next_at` is then when the lease ends, on the database's clock. `without`: beginnings of URLs that
        are not wanted now.
        """

    def delivered(self, delivery: Delivery) -> None:
        """Nothing happens when another has taken it meanwhile."""

    def postponed(self, delivery: Delivery, *, error: str, after_s: float | None) -> None:
        """Try again later, or (None) never: failed. Nothing happens when another has taken it meanwhile."""

    def list(self, tenant_id: str, job_id: str) -> tuple[Delivery, ...]:
        """Of one job, oldest first. Raises JobNotFound."""

    def resend(self, tenant_id: str, job_id: str, delivery_id: str) -> Delivery:
        """Make an ended delivery pending again, under its id. Raises JobNotFound, NotFound, Conflict."""


class Retention(Protocol):
    """What is no longer needed. Objects are marked, waited for, looked at again, then removed."""

    def expire_outputs(self, *, kept_s: float, limit: int = 100) -> tuple[Job, ...]:
        """Ended jobs whose time (their own keep_s, or kept_s) has passed, and which no open job starts from:
        their rows no longer name outputs (outputs_expired_at is set). Returns them as they were before."""

    def purge_jobs(self, *, kept_s: float, limit: int = 100) -> int:
        """Remove rows of jobs ended longer ago than both kept_s and their own keep_s, with their events and
        deliveries; not those that an open job starts from, nor such with deliveries pending."""

    def delete_job(self, tenant_id: str, job_id: str) -> Job:
        """A job that has ended, with its events, deliveries, idempotency key and saved inversion. Objects of
        its outputs are then the caller's to remove, where they are `unneeded`.

        Raises JobNotFound, JobNotEnded; JobInUse for a chunk of a batch, and while an open job names it.
        """

    def expire_batches(self, *, kept_s: float, limit: int = 10) -> tuple[str, ...]:
        """The same for ended batches, each as a whole. Returns keys of objects that rows no longer name."""

    def purge_batches(self, *, kept_s: float, limit: int = 10) -> int:
        """Remove batches whose outputs have expired, with their chunks and jobs. (Jobs that are a batch's
        expire and go with it alone.)"""

    def purge_keys(self, *, kept_s: float) -> int:
        """Forget old idempotency keys."""

    def purge_usage(self, *, kept_s: float) -> int:
        """Forget what jobs came to on days that ended so long ago. Returns how many sums."""

    def expire_inversions(self, *, kept_s: float, limit: int = 100) -> int:
        """Forget saved inversions that nobody has used for so long; their objects are garbage then."""

    def unneeded(self, keys: Iterable[str]) -> frozenset[str]:
        """Those that no live record needs. Needed are images, files, models, vectors, inversions, outputs
        that rows name, checkpoints of open jobs, and all that lies under the prefix of a running attempt."""

    def spare(self, keys: Iterable[str]) -> frozenset[str]:
        """These are needed after all: their marks are gone, those aside that are condemned, which are
        returned."""

    def mark(self, keys: Iterable[str]) -> None:
        """Remember since when these have been unneeded; those known already keep their time."""

    def marked(self, *, longer_than_s: float, limit: int = 1000) -> tuple[str, ...]: ...

    def condemn(self, keys: Iterable[str]) -> frozenset[str]:
        """Look again, under lock: marked keys that are still unneeded are now condemned, and returned; the
        marks of the others are gone. No record can be added on a condemned key until `forget`."""

    def forget(self, keys: Iterable[str]) -> None:
        """These were removed."""
