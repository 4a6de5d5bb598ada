"""What every backend of the platform's memory must do, and the one place where backends are chosen.

One contract suite (tests/integration/test_store_contracts.py) holds all implementations to these protocols.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from storage.access import Keys as Keys
from storage.access import Limits as Limits
from storage.access import Rates as Rates
from storage.batch_stores import Batches as Batches
from storage.holdings import Library as Library
from storage.library_records import NOTHING_KEPT, Ending, Kept
from storage.listening import Listener
from storage.meters import measured
from storage.objects import Readable
from storage.records import (
    GPU_QUEUE,
    Claim,
    Count,
    Event,
    IdempotencyKey,
    Job,
    ObjectRef,
    Page,
    Priority,
    Queue,
    Renewal,
    Standing,
    Status,
    Usage,
)
from storage.sources import Sources, open_sources
from storage.specs import DEFAULT_OPTIONS, JobOptions
from storage.upkeep import Outbox, Retention

if TYPE_CHECKING:
    from storage.settings import Settings


class Jobs(Protocol):
    """The jobs table. A write under a claim raises LeaseLost when (id, attempt, token) no longer holds."""

    def add(
        self,
        tenant_id: str,
        kind: str,
        spec: Mapping[str, Any],
        *,
        queue: str = GPU_QUEUE,
        options: JobOptions = DEFAULT_OPTIONS,
        retry_of: str | None = None,
        idempotency: IdempotencyKey | None = None,
    ) -> Job:
        """A queued row. Under a key that is known already: the job of that key, unchanged, or KeyReused."""

    def added(self, tenant_id: str, idempotency: IdempotencyKey) -> Job | None:
        """The job that was added under this key, if any. Raises KeyReused when its digest was another."""

    def get(self, tenant_id: str, job_id: str) -> Job:
        """Raises JobNotFound, also for another tenant's job."""

    def list(
        self,
        tenant_id: str,
        *,
        status: Status | None = None,
        kind: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Job]:
        """Newest first."""

    def claim(self, queue: str, worker: str, *, lease_s: float, pid: int | None = None) -> Claim | None:
        """Take the best eligible row: queued, not_before passed, no deadline passed, its queue not paused.

        Best: the highest class (raised by ageing); there, the tenant served least recently; there, the
        oldest. None too for a worker that is drained. `pid`: the process that will run it.
        """

    def claim_together(
        self,
        queue: str,
        worker: str,
        *,
        lease_s: float,
        pid: int | None = None,
        most: Callable[[str], int],
    ) -> tuple[Claim, ...]:
        """The same, and in that turn of its tenant the next rows of its class and kind, `most(kind)` in all:
        none that was tried before, or is of a batch, or is more than its tenant may have running."""

    def renew(self, claim: Claim, *, lease_s: float) -> Renewal: ...

    def checkpointed(self, claim: Claim, checkpoint: ObjectRef) -> None:
        """Move the row's pointer to a checkpoint already written."""

    def outranked(self, job: Job, *, waited_s: float = 0.0) -> bool:
        """Whether a job of a higher class has waited so long in this running job's queue."""

    def request_cancel(self, tenant_id: str, job_id: str) -> Job:
        """Queued: canceled at once. Running: sets cancel_requested. Ended: raises JobEnded."""

    def request_stop(self, tenant_id: str, job_id: str) -> Job:
        """Sets stop_requested: end early with the best so far. Ended: raises JobEnded. Queued without a
        checkpoint: raises NothingToStop."""

    def set_priority(self, tenant_id: str, job_id: str, priority: Priority) -> Job:
        """Ended: raises JobEnded. Tells an event `priority_changed` where it does change."""

    def requeue(
        self,
        claim: Claim,
        *,
        reason: str,
        count: Count,
        delay_s: float = 0.0,
        error: Mapping[str, Any] | None = None,
    ) -> Job:
        """running -> queued (drain, gave_way, retry), counted as `count`; a cancel asked for wins."""

    def succeed(
        self,
        claim: Claim,
        outputs: Mapping[str, ObjectRef],
        result: Mapping[str, Any],
        *,
        kept: Kept = NOTHING_KEPT,
    ) -> Job:
        """Finding one's own success already there is success. What is kept goes into the library in the same
        transaction, so exactly once. Raises ValueError for records that are not of the job's tenant."""

    def succeed_together(self, endings: Sequence[Ending]) -> tuple[Job | None, ...]:
        """The same for several jobs at once, all or none of them; None for each whose claim is lost."""

    def fail(self, claim: Claim, error: Mapping[str, Any], *, count: Count = Count.FAILURES) -> Job:
        """For good; counts one more of `count`."""

    def canceled(self, claim: Claim) -> Job: ...

    def expire(self, *, max_lost: int) -> tuple[Job, ...]:
        """Running rows whose lease has passed: requeued with lost + 1 (canceled where a cancel was asked
        for; failed as quarantined when lost reaches max_lost). Returns the rows that changed."""

    def release(self, worker: str, pid: int, *, cause: str, max_lost: int) -> tuple[Job, ...]:
        """The same, at once, for the running rows of a process that is known to be dead, and why."""

    def overdue(self) -> tuple[Job, ...]:
        """Queued and running rows whose start_by or finish_by has passed: failed as deadline_passed
        (canceled where a cancel was asked for). Returns the rows that changed."""

    def eligible(self, queue: str) -> int:
        """How many rows a claim could take now."""

    def position(self, job: Job) -> int:
        """How many rows of its queue are ahead of this queued job, of higher classes or older in its own.
        MOST_AHEAD stands for so many or more. (An estimate: tenants' turns are not looked ahead to.)"""

    def ahead(self, job: Job) -> dict[Priority, int]:
        """All of them, by the class that they count as; in a long queue that takes long."""

    def running(self) -> tuple[Job, ...]:
        """All running rows, of every tenant (for the workers' page)."""

    def queues(self) -> tuple[Queue, ...]:
        """Every queue that is known, or has rows that have not ended, by name."""

    def standing(self) -> tuple[Standing, ...]:
        """All jobs that wait or run, of every tenant, counted."""

    def usage(self, tenant_id: str | None, *, since_day: int) -> tuple[Usage, ...]:
        """What ended since that day (of days since the epoch, UTC), newest first; None: of every tenant."""

    def pause(self, queue: str, paused: bool) -> None:
        """Nothing is claimed from a paused queue; what runs goes on."""

    def drain(self, worker: str, draining: bool) -> None:
        """A drained worker claims nothing, and its renewals say so."""

    def draining(self) -> frozenset[str]: ...

    def events(self, tenant_id: str, job_id: str, *, after: int = 0) -> tuple[Event, ...]: ...


class Objects(Protocol):
    """The object store. Keys come from the functions in storage/objects.py alone."""

    def put(self, key: str, data: bytes | Readable, media_type: str) -> ObjectRef:
        """Multipart when large. Whole or not there: a reader never sees half an object."""

    def put_content(self, key_of: Callable[[str], str], data: Readable, media_type: str) -> ObjectRef:
        """The same for an object whose key shows at its end: key_of(sha256). What `data.read` raises passes
        through, and nothing is kept then."""

    def get(self, ref: ObjectRef) -> bytes:
        """Raises ObjectCorrupt when size or SHA-256 differ, OutputNotFound when it is gone."""

    def stream(self, ref: ObjectRef, *, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        """Raises OutputNotFound at once, and ObjectCorrupt at the end at the latest."""

    def get_range(self, key: str, start: int = 0, byte_size: int | None = None) -> bytes:
        """Unchecked bytes of an object, None: to its end. Who asks knows their digest, or does not need it.
        Raises OutputNotFound; ObjectCorrupt where the object ends before."""

    def exists(self, key: str) -> bool: ...
    def list(self, prefix: str) -> Iterator[str]: ...
    def delete(self, keys: Iterable[str]) -> None: ...
    def sweep(self, *, older_than_s: float) -> int:
        """Remove what puts that were cut off so long ago have left. How many of these there were."""

    def check(self) -> None:
        """Raises StorageUnavailable when the store does not answer."""


class ProgressBoard(Protocol):
    """Rumours: progress, cancel notices, who is there. Never raises when its server is away: it goes dark."""

    def publish(self, job_id: str, message: Mapping[str, Any]) -> None: ...
    def publish_all(self, messages: Mapping[str, Mapping[str, Any]]) -> None:
        """The same, one of each of several jobs, by id."""

    def latest(self, job_id: str) -> dict[str, Any] | None: ...
    def listen(self, job_id: str, *, timeout_s: float | None = None) -> Listener:
        """Messages published from now on: by iterating until timeout_s has passed, or one by one (`hear`)."""

    def notice_cancel(self, job_id: str) -> None: ...
    def cancel_noticed(self, job_id: str) -> bool: ...
    def present(self, worker: Mapping[str, Any], *, ttl_s: float) -> None:
        """`worker` has at least "name"; gone from the board when not repeated within ttl_s."""

    def absent(self, name: str) -> None: ...
    def workers(self) -> tuple[dict[str, Any], ...]: ...
    def check(self) -> bool:
        """Whether the server answers."""


class Locks(Protocol):
    """One holder at a time among all processes, by a row of the database with an expiry."""

    def hold(self, name: str, *, lease_s: float) -> AbstractContextManager[bool]:
        """True inside when the lock was got, False when another has it."""


@dataclass(frozen=True, slots=True)
class Stores:
    jobs: Jobs
    library: Library
    objects: Objects
    progress: ProgressBoard
    locks: Locks
    outbox: Outbox
    retention: Retention
    batches: Batches
    sources: Sources
    keys: Keys
    limits: Limits
    rates: Rates


def open_stores(settings: "Settings") -> Stores:
    """The stores that the settings name. Opens lazily: a server that is away shows at the first use.

    The database must have been migrated (storage/migrate.py). Drivers are imported only where they are used.
    """
    from storage.batches import SqlBatches
    from storage.database import Database
    from storage.jobs import SqlJobs
    from storage.keys import SqlKeys
    from storage.library import SqlLibrary
    from storage.limits import SqlLimits
    from storage.locks import SqlLocks
    from storage.outbox import SqlOutbox
    from storage.progress import RedisProgressBoard
    from storage.rates import RedisRates
    from storage.retention import SqlRetention

    database = Database(settings.database_url)
    jobs = SqlJobs(database, ageing_s=settings.ageing_s, limits=settings.limits)
    return Stores(
        jobs,
        SqlLibrary(database),
        open_objects(settings),
        RedisProgressBoard(settings.redis_url),
        SqlLocks(database),
        SqlOutbox(database),
        SqlRetention(database),
        SqlBatches(database, jobs),
        open_sources(settings),
        SqlKeys(database),
        SqlLimits(database, settings.limits),
        RedisRates(settings.redis_url),
    )


def open_objects(settings: "Settings") -> Objects:
    if settings.objects == "files":
        from storage.objects import FileObjects

        return measured("objects", FileObjects(settings.objects_dir))
    from storage.s3 import S3Objects

    return measured("objects", S3Objects.from_settings(settings))
