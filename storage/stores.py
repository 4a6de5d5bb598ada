"""What every backend of the platform's memory must do, and the one place where backends are chosen.

One contract suite (tests/integration/test_store_contracts.py) holds all implementations to these protocols.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from storage.records import GPU_QUEUE, Claim, Event, Image, Job, Model, ObjectRef, Page, Renewal, Status

if TYPE_CHECKING:
    from storage.settings import Settings


class Jobs(Protocol):
    """The jobs table. A write under a claim raises LeaseLost when (id, attempt, token) no longer holds."""

    def add(self, tenant_id: str, kind: str, spec: Mapping[str, Any], *, queue: str = GPU_QUEUE) -> Job: ...

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

    def claim(self, queue: str, worker: str, *, lease_s: float) -> Claim | None:
        """Take the best eligible row: queued, not_before passed; oldest first."""

    def renew(self, claim: Claim, *, lease_s: float) -> Renewal: ...

    def checkpointed(self, claim: Claim, checkpoint: ObjectRef) -> None:
        """Move the row's pointer to a checkpoint already written."""

    def request_cancel(self, tenant_id: str, job_id: str) -> Job:
        """Queued: canceled at once. Running: sets cancel_requested. Ended: raises JobEnded."""

    def requeue(
        self,
        claim: Claim,
        *,
        reason: str,
        delay_s: float = 0.0,
        error: Mapping[str, Any] | None = None,
        failed: bool = False,
    ) -> Job:
        """running -> queued (drain, retry). `failed` counts one more failure; a cancel asked for wins."""

    def succeed(self, claim: Claim, outputs: Mapping[str, ObjectRef], result: Mapping[str, Any]) -> Job:
        """Finding one's own success already there is success."""

    def fail(self, claim: Claim, error: Mapping[str, Any]) -> Job:
        """For good; counts one more failure."""

    def canceled(self, claim: Claim) -> Job: ...

    def expire(self, *, max_lost: int) -> tuple[Job, ...]:
        """Running rows whose lease has passed: requeued with lost + 1 (canceled where a cancel was asked
        for; failed with worker_lost when lost reaches max_lost). Returns the rows that changed."""

    def eligible(self, queue: str) -> int:
        """How many rows a claim could take now."""

    def position(self, job: Job) -> int:
        """How many rows of its queue would be claimed before this queued job."""

    def running(self) -> tuple[Job, ...]:
        """All running rows, of every tenant (for the workers' page)."""

    def events(self, tenant_id: str, job_id: str, *, after: int = 0) -> tuple[Event, ...]: ...


class Library(Protocol):
    """Images and models, as records. System models are readable by every tenant."""

    def add_image(self, image: Image) -> Image: ...
    def get_image(self, tenant_id: str, image_id: str) -> Image: ...
    def list_images(self, tenant_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Image]: ...
    def delete_image(self, tenant_id: str, image_id: str) -> Image:
        """Raises ImageInUse while a queued or running job names it."""

    def names_object(self, key: str) -> bool:
        """Whether an image record names this object: ask after delete_image, before deleting the object."""

    def put_model(self, model: Model) -> Model:
        """Add, or replace the one of the same tenant and name; the same digest again changes nothing."""

    def get_model(self, tenant_id: str, name: str) -> Model:
        """The tenant's own model of this name, else the system's. Raises ModelNotFound."""

    def list_models(self, tenant_id: str) -> tuple[Model, ...]: ...


class Objects(Protocol):
    """The object store. Keys come from the functions in storage/objects.py alone."""

    def put(self, key: str, data: bytes | BinaryIO, media_type: str) -> ObjectRef:
        """Multipart when large. Whole or not there: a reader never sees half an object."""

    def get(self, ref: ObjectRef) -> bytes:
        """Raises ObjectCorrupt when size or SHA-256 differ, OutputNotFound when it is gone."""

    def stream(self, ref: ObjectRef, *, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
        """Raises OutputNotFound at once, and ObjectCorrupt at the end at the latest."""

    def exists(self, key: str) -> bool: ...
    def list(self, prefix: str) -> Iterator[str]: ...
    def delete(self, keys: Iterable[str]) -> None: ...
    def check(self) -> None:
        """Raises StorageUnavailable when the store does not answer."""


class ProgressBoard(Protocol):
    """Rumours: progress, cancel notices, who is there. Never raises when its server is away: it goes dark."""

    def publish(self, job_id: str, message: Mapping[str, Any]) -> None: ...
    def latest(self, job_id: str) -> dict[str, Any] | None: ...
    def listen(self, job_id: str, *, timeout_s: float) -> Iterator[dict[str, Any]]:
        """Messages published from now on, until timeout_s has passed."""

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


def open_stores(settings: "Settings") -> Stores:
    """The stores that the settings name. Opens lazily: a server that is away shows at the first use.

    The database must have been migrated (storage/migrate.py). Drivers are imported only where they are used.
    """
    from storage.database import Database
    from storage.jobs import SqlJobs
    from storage.library import SqlLibrary
    from storage.locks import SqlLocks
    from storage.progress import RedisProgressBoard

    database = Database(settings.database_url)
    progress = RedisProgressBoard(settings.redis_url)
    return Stores(
        SqlJobs(database), SqlLibrary(database), open_objects(settings), progress, SqlLocks(database)
    )


def open_objects(settings: "Settings") -> Objects:
    if settings.objects == "files":
        from storage.objects import FileObjects

        return FileObjects(settings.objects_dir)
    from storage.s3 import S3Objects

    return S3Objects.from_settings(settings)
