"""One claimed run of a job, as its recipe sees it: what was asked for, and where results go."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from pydantic import ValidationError

from storage.errors import InvalidInput
from storage.library_records import NOTHING_KEPT, Kept
from storage.objects import output_key
from storage.records import Claim, Job, ObjectRef
from storage.specs import JOB_SPEC, JobSpec
from storage.stores import Stores
from workers.writing import Refs, Writer

if TYPE_CHECKING:
    from workers.models import Models


@dataclass(frozen=True)
class Saved:
    """What an attempt leaves: outputs by name, the figures kept on the row, records for the library."""

    outputs: Mapping[str, ObjectRef]
    result: dict[str, object]
    kept: Kept = NOTHING_KEPT


@dataclass(frozen=True)
class Attempt:
    """moved: told of each output that was written, so that saving many of them is not taken to be hung.
    writer: what outputs in memory are left to, and whatever else nothing need wait for; without one, each is
    there when `put` returns.
    """

    claim: Claim
    stores: Stores
    models: "Models"
    outputs: Refs = field(default_factory=Refs)
    moved: Callable[[], None] = lambda: None
    writer: Writer | None = None

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

    def put(self, name: str, data: bytes | BinaryIO | Callable[[], bytes], media_type: str) -> None:
        """Keep an output under the attempt's own prefix: the bytes, or what is called for them, later and
        in another thread."""
        key = output_key(self.job.tenant_id, self.job.id, self.job.attempt, name)
        if self.writer is not None and not hasattr(data, "read"):
            make = data if callable(data) else lambda: data
            self.outputs.expect(name, self.writer.put(key, make, media_type, then=self.moved))
            return
        self.outputs[name] = self.stores.objects.put(key, data() if callable(data) else data, media_type)
        self.moved()

    def meanwhile(self, work: Callable[[], None]) -> None:
        """Do what nothing waits for but the attempt's end."""
        if self.writer is None:
            work()
        else:
            self.writer.do(work)
