"""One claimed run of a job, as its recipe sees it: what was asked for, and where results go."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from pydantic import ValidationError

from storage.errors import InvalidInput
from storage.library_records import NOTHING_KEPT, Kept
from storage.objects import output_key
from storage.records import Claim, Job, ObjectRef
from storage.specs import JOB_SPEC, JobSpec
from storage.stores import Stores

if TYPE_CHECKING:
    from workers.models import Models
    from workers.writing import Writer


@dataclass(frozen=True)
class Saved:
    """What an attempt leaves: outputs by name, the figures kept on the row, records for the library."""

    outputs: dict[str, ObjectRef]
    result: dict[str, object]
    kept: Kept = NOTHING_KEPT


@dataclass(frozen=True)
class Attempt:
    """moved: told of each output that was written, so that saving many of them is not taken to be hung.
    writer: what outputs in memory are left to; without one, each is there when `put` returns.
    """

    claim: Claim
    stores: Stores
    models: "Models"
    outputs: dict[str, ObjectRef] = field(default_factory=dict)
    moved: Callable[[], None] = lambda: None
    writer: "Writer | None" = None

    @property
    def job(self) -> Job:
        return self.claim.job

    @property
    def spec(self) -> JobSpec:
        """Raises InvalidInput when the row's spec is from another time."""
        try:
            return JOB_SPEC.validate_python({"kind": self.job.kind, **self.job.spec})
        except ValidationError as error:
            raise InvalidInput("This worker does not understand the job's spec.") from error

    def tensor_batch(self, most: int) -> int:
        """How many items to work on at once: half as many each time this job ran out of memory."""
        return max(1, most >> self.job.out_of_memory)

    def put(self, name: str, data: bytes | BinaryIO, media_type: str) -> None:
        """Keep an output under the attempt's own prefix."""
        key = output_key(self.job.tenant_id, self.job.id, self.job.attempt, name)
        if self.writer is not None and isinstance(data, bytes):
            self.outputs[name] = self.writer.put(key, data, media_type, then=self.moved)
            return
        self.outputs[name] = self.stores.objects.put(key, data, media_type)
        self.moved()
