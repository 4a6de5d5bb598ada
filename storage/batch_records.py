"""Batches as frozen values: many inputs under one spec, and the chunks of them that single claims take.

A chunk is claimed as a job of kind `chunk`, of the batch's id (docs/decisions/0016-a-chunk-is-a-job.md).
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from storage.records import ObjectRef, Priority

VALIDATE, CHUNK, FINISH = "validate_batch", "chunk", "finish_batch"
"""Kinds of the jobs that a batch consists of. Nobody submits them."""

HELD_UNTIL = 1e11
"""not_before of a paused batch's chunks: a time that never comes."""


class BatchStatus(StrEnum):
    VALIDATING = "validating"  # its inputs are being read
    RUNNING = "running"  # there are chunks to do
    FINISHING = "finishing"  # all are done; the parts are being merged
    SUCCEEDED = "succeeded"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def ended(self) -> bool:
        return self not in (BatchStatus.VALIDATING, BatchStatus.RUNNING, BatchStatus.FINISHING)


@dataclass(frozen=True, slots=True)
class Batch:
    """`paused` and `cancel_requested` are wishes, no states. `ready`: how many of its chunks are kept queued.

    files    by role: items (the valid inputs, one JSON object a line), invalid (those that were refused);
             when it has ended results and errors
    items, invalid, chunks   counted when the inputs were read
    """

    id: str
    tenant_id: str
    spec: dict[str, Any]
    priority: Priority
    status: BatchStatus
    paused: bool
    cancel_requested: bool
    ready: int
    keep_s: float | None
    webhook: dict[str, Any] | None
    retry_of: str | None
    items: int
    invalid: int
    chunks: int
    files: dict[str, ObjectRef]
    result: dict[str, Any]
    error: dict[str, Any] | None
    created_at: float
    validated_at: float | None
    ended_at: float | None
    updated_at: float
    outputs_expired_at: float | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """The `number`-th piece of a batch's items, from 0: bytes start_byte to start_byte + byte_size of them.

    sha256    of those bytes
    job_id    None until its turn comes
    errors    how many of its items failed, by error code
    device_s  how long its operation held the worker's device, of the seconds that it took
    results_bytes  of the results that it wrote
    """

    batch_id: str
    number: int
    start_byte: int
    byte_size: int
    sha256: str
    items: int
    job_id: str | None = None
    ended_at: float | None = None
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0
    reused: int = 0
    device_s: float = 0.0
    seconds: float = 0.0
    errors: dict[str, int] = field(default_factory=dict)
    results_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over the chunks of a batch that have ended. `reused`: items whose result was there already."""

    chunks: int = 0
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0
    reused: int = 0
    device_s: float = 0.0
    seconds: float = 0.0
    errors: dict[str, int] = field(default_factory=dict)

    @property
    def done(self) -> int:
        return self.succeeded + self.failed + self.canceled
