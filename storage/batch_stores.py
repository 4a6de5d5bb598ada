"""What a store of batches must do, whatever it is kept in. One of the protocols of storage/stores.py."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from storage.batch_records import Batch, BatchStatus, Chunk, Tally
from storage.records import IdempotencyKey, Job, ObjectRef, Page, Priority


class Batches(Protocol):
    """Batches and their chunks. Chunks are made by the job that reads the inputs (Kept.chunks), queued a few
    at a time, and claimed, renewed and ended as any job is (Jobs), which moves the batch on."""

    def add(
        self,
        tenant_id: str,
        spec: Mapping[str, Any],
        *,
        priority: Priority = Priority.BULK,
        ready: int = 4,
        keep_s: float | None = None,
        webhook: Mapping[str, Any] | None = None,
        retry_of: str | None = None,
        idempotency: IdempotencyKey | None = None,
    ) -> Batch:
        """A `validating` batch, and the job in the cpu queue that reads its inputs. `ready`: how many of its
        chunks are kept queued. The webhook is called for the job that merges the results. Keys as in Jobs."""

    def added(self, tenant_id: str, idempotency: IdempotencyKey) -> Batch | None: ...

    def get(self, tenant_id: str, batch_id: str) -> Batch:
        """Raises BatchNotFound, also for another tenant's."""

    def list(
        self,
        tenant_id: str,
        *,
        status: BatchStatus | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Batch]:
        """Newest first."""

    def tally(self, batch_id: str) -> Tally: ...
    def chunk(self, batch_id: str, number: int) -> Chunk: ...
    def chunks(self, batch_id: str, *, after: int = -1, limit: int = 1000) -> tuple[Chunk, ...]:
        """In the order of their numbers."""

    def ledgers(self, batch_id: str) -> Iterator[tuple[Chunk, ObjectRef | None]]:
        """Each chunk, and the file of its items' results (ledger.jsonl); None where it left none."""

    def kept_ledgers(self) -> Iterator[ObjectRef]:
        """The ledgers of all batches of all tenants: what they name is needed."""

    def running(self, batch_id: str) -> tuple[Job, ...]:
        """Its jobs that run now."""

    def newest(self, batch_id: str, *, limit: int = 2) -> tuple[Job, ...]:
        """Its chunks that succeeded last, the last one first."""

    def pause(self, tenant_id: str, batch_id: str, paused: bool) -> Batch:
        """Its queued chunks are held back, and running ones give way at their next checkpoint (see
        Jobs.outranked); or let go. Raises BatchEnded."""

    def request_cancel(self, tenant_id: str, batch_id: str) -> Batch:
        """Queued chunks are canceled at once, running ones are asked to; what was done is still merged.
        Raises BatchEnded."""

    def carry_out_cancel(self, batch_id: str) -> None:
        """The rest of a cancel that was cut off half-way."""

    def canceling(self) -> tuple[Batch, ...]:
        """Of all tenants: those with a cancel still to be carried out."""

    def set_priority(self, tenant_id: str, batch_id: str, priority: Priority) -> Batch:
        """Of all its chunks that have not ended. Raises BatchEnded."""

    def speed(self, kind: str, model: str) -> tuple[int, float] | None:
        """Items that such specs have lately made anew, and the device seconds that this took; None where
        none were."""
