"""The loop around an operation: it tells of each step, keeps checkpoints, and ends or leaves when told to."""

import time
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from storage.batch_records import CHUNK
from storage.errors import StorageUnavailable
from storage.meters import meters
from workers.attempt import Attempt
from workers.checkpoints import Checkpoints
from workers.device_meters import tell_memory
from workers.lease import Lease, Stop, Stopped
from workers.previews import Previews

if TYPE_CHECKING:
    from gpu_ops.progress import Progress, Steps

R = TypeVar("R")
PUBLISH_EVERY_S = 0.1
CHUNK_EVERY_S = 0.5  # its steps are many and short, and who watches a batch sees chunks that ended
RATE_OVER_STEPS = 30
RUMOUR_EVERY_S = 1.0
WAITED_S = 1.0  # a job of a higher class that has waited so long finds no other worker


def follow(steps: "Steps[R]", attempt: Attempt, lease: Lease, checkpoints: Checkpoints) -> tuple[R, bool]:
    """Run an operation to its end: its result, and whether it was stopped early. Raises LeaseLost, Stopped,
    what it raises."""
    teller = Teller(attempt)
    rumours = Rumours(attempt, lease)
    enough: bool | None = None  # what a generator that has not begun must be sent
    early = False
    counted = meters().steps.labels(attempt.job.kind)
    while True:
        try:
            progress = steps.send(enough)
        except StopIteration as end:
            result: R = end.value
            return result, early
        lease.touch()
        counted.inc()
        teller.tell(progress)
        if progress.total > 1:  # a forward pass is over before anybody could ask for anything
            rumours.heed()
        if lease.stop is Stop.DRAIN:
            checkpoints.keep(progress)
        lease.check()
        enough = lease.enough
        early = enough and progress.step < progress.total
        if not enough and checkpoints.keep_when_due(progress) and outranked(attempt):
            raise Stopped(Stop.GIVE_WAY)


def outranked(attempt: Attempt) -> bool:
    try:
        return attempt.stores.jobs.outranked(attempt.job, waited_s=WAITED_S)
    except StorageUnavailable:
        return False


class Teller:
    """Publishes progress: the first and the last step always, those between at most ten a second (a chunk's:
    two); with a picture now and then."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._every_s = CHUNK_EVERY_S if attempt.job.kind == CHUNK else PUBLISH_EVERY_S
        self._began = time.monotonic()
        self._told = 0.0
        self._previews = Previews()
        self._marks: deque[tuple[int, float]] = deque(maxlen=RATE_OVER_STEPS)

    def tell(self, progress: "Progress") -> None:
        now = time.monotonic()
        self._marks.append((progress.step, now))
        if now - self._told < self._every_s and progress.step < progress.total:
            return
        self._told = now
        tell_memory()
        message: dict[str, object] = {
            "type": "progress",
            "attempt": self._attempt.job.attempt,
            "step": progress.step,
            "total": progress.total,
            "losses": progress.losses,
            "seconds_left": self._seconds_left(progress),
            "seconds": round(now - self._began, 2),
        }

        def send() -> None:
            preview = self._previews.of(progress)
            if preview is not None:
                message["preview"] = preview
            self._attempt.stores.progress.publish(self._attempt.job.id, message)

        if progress.total > 1:
            send()
        else:  # of a forward pass, which goes on at once
            self._attempt.meanwhile(send)

    def _seconds_left(self, progress: "Progress") -> float | None:
        """From the rate of the last steps; None before there is one."""
        (first_step, first_at), (last_step, last_at) = self._marks[0], self._marks[-1]
        if last_step == first_step:
            return None
        return round((progress.total - last_step) * (last_at - first_at) / (last_step - first_step), 1)


class Rumours:
    """The board says that something was asked for; the row says what. Looked for after each step, of a chunk
    at most twice a second."""

    def __init__(self, attempt: Attempt, lease: Lease) -> None:
        self._attempt = attempt
        self._lease = lease
        self._every_s = CHUNK_EVERY_S if attempt.job.kind == CHUNK else 0.0
        self._looked = self._asked = float("-inf")

    def heed(self) -> None:
        now = time.monotonic()
        if now - self._looked < self._every_s:
            return
        self._looked = now
        if not self._attempt.stores.progress.cancel_noticed(self._attempt.job.id):
            return
        if self._lease.stop is not None or now - self._asked < RUMOUR_EVERY_S:
            return
        self._asked = now
        try:
            self._lease.renew()
        except StorageUnavailable:
            return  # the heartbeat goes on asking
