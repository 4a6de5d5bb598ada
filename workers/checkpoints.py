"""A job's saved optimiser state: written under the attempt's own prefix, the row's pointer moved after."""

import logging
import time
from typing import TYPE_CHECKING

from storage.errors import EditqError, LeaseLost, StorageUnavailable
from storage.objects import checkpoint_key
from storage.records import ObjectRef
from workers.attempt import Attempt

if TYPE_CHECKING:
    from gpu_ops.progress import Progress, State

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/octet-stream"
PAUSE_PER_WRITING = 9.0


class Checkpoints:
    """Keeps one checkpoint of this attempt, every_s apart (0: after each step). Trouble with the store is
    logged, and never ends a job."""

    def __init__(self, attempt: Attempt, *, every_s: float) -> None:
        self._attempt = attempt
        self._every_s = every_s
        self._kept_at = time.monotonic()
        self._took_s = 0.0
        self._mine: ObjectRef | None = None

    def restore(self) -> "State | None":
        """What an earlier attempt left, or None: then the work starts over.

        Raises StorageUnavailable: what is only out of reach for a while is not given up.
        """
        pointer = self._attempt.job.checkpoint
        if pointer is None:
            return None
        from safetensors.torch import load

        try:
            return load(self._attempt.stores.objects.get(pointer))
        except StorageUnavailable:
            raise
        except EditqError as error:
            log.warning("job %s: starting over without its checkpoint: %s", self._attempt.job.id, error)
            return None

    def keep_when_due(self, progress: "Progress") -> bool:
        """A state that takes long to write, as a training's, is written less often: a tenth of the time."""
        due_s = max(self._every_s, PAUSE_PER_WRITING * self._took_s) if self._every_s else 0.0
        return time.monotonic() - self._kept_at >= due_s and self.keep(progress)

    def keep(self, progress: "Progress") -> bool:
        """Write, move the pointer, drop the one before; whether that was done. Raises LeaseLost alone."""
        self._kept_at = began = time.monotonic()
        if progress.state is None:
            return False
        state = progress.state()
        if not state:
            return True  # what was done so far is kept elsewhere
        from safetensors.torch import save

        job, objects = self._attempt.job, self._attempt.stores.objects
        key = checkpoint_key(job.tenant_id, job.id, job.attempt, progress.step)
        try:
            written = objects.put(key, save(state), MEDIA_TYPE)
            self._attempt.stores.jobs.checkpointed(self._attempt.claim, written)
            before, self._mine = self._mine, written
            if before is not None and before.key != key:
                objects.delete([before.key])
        except LeaseLost:
            raise
        except EditqError as error:
            log.warning("job %s: no checkpoint at step %d: %s", job.id, progress.step, error)
            return False
        self._kept_at = time.monotonic()
        self._took_s = self._kept_at - began
        return True
