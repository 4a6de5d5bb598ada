"""The heartbeat that keeps a claim, and tells its loop to stop."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TypeVar

from storage.errors import LeaseLost, StorageUnavailable
from storage.records import Claim
from storage.stores import Jobs

T = TypeVar("T")
log = logging.getLogger(__name__)


class Stop(Enum):
    """Why a loop must stop; the first of these that holds counts."""

    LOST = "lost"
    CANCEL = "cancel"
    DRAIN = "drain"


class Stopped(Exception):
    """The loop was told to stop, and does. (A lost lease is LeaseLost.)"""

    def __init__(self, reason: Stop) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Phase(Enum):
    LOADING = "loading"
    OPERATING = "operating"
    SAVING = "saving"


STALL_LIMITS_S = {Phase.LOADING: 900.0, Phase.OPERATING: 300.0, Phase.SAVING: 300.0}


class Lease:
    """A claim being kept. `until` is judged on this process's own clock, counted from before each request."""

    def __init__(
        self,
        claim: Claim,
        jobs: Jobs,
        *,
        lease_s: float,
        since: float | None = None,
        draining: Callable[[], bool] = lambda: False,
        stall_limits_s: dict[Phase, float] = STALL_LIMITS_S,
    ) -> None:
        self.claim = claim
        self.lease_s = lease_s
        self._jobs = jobs
        self._draining = draining
        self._stall_limits_s = stall_limits_s
        self._until = (time.monotonic() if since is None else since) + lease_s
        self._phase = Phase.LOADING
        self._touched = time.monotonic()
        self._lost = False
        self._cancel = False
        self._ended = threading.Event()

    @property
    def stop(self) -> Stop | None:
        """Why to stop now, if so."""
        if self._lost or time.monotonic() >= self._until:
            return Stop.LOST
        if self._cancel:
            return Stop.CANCEL
        return Stop.DRAIN if self._draining() else None

    def check(self) -> None:
        """Raises LeaseLost or Stopped when it is time to."""
        match self.stop:
            case None:
                return
            case Stop.LOST:
                raise LeaseLost("The lease has passed.")
            case reason:
                raise Stopped(reason)

    def enter(self, phase: Phase) -> None:
        self._phase = phase
        self.touch()

    def touch(self) -> None:
        """Something moved: the phase's stall limit counts from here."""
        self._touched = time.monotonic()

    def renew(self) -> None:
        """Ask the row itself, now. Raises LeaseLost, StorageUnavailable."""
        before = time.monotonic()
        renewal = self._jobs.renew(self.claim, lease_s=self.lease_s)
        self._until = before + self.lease_s
        self._cancel = self._cancel or renewal.cancel_requested

    def insist(self, write: Callable[[], T]) -> T:
        """Do a write of the row, again and again while storage is away, until the lease has passed."""
        while True:
            try:
                return write()
            except StorageUnavailable:
                if self.stop is Stop.LOST:
                    raise LeaseLost("The lease passed while storage was away.") from None
                time.sleep(self._pause_s)

    @property
    def _pause_s(self) -> float:
        return min(1.0, self.lease_s / 20)

    def _beat(self) -> None:
        """The heartbeat's thread: renew at a third of the lease; after trouble sooner, until it is over."""
        wait_s = self.lease_s / 3
        while not self._ended.wait(wait_s) and self.stop is not Stop.LOST:
            stalled_s = time.monotonic() - self._touched
            if stalled_s > self._stall_limits_s[self._phase]:
                log.error("job %s stalled %.0f s while %s", self.claim.job.id, stalled_s, self._phase.value)
                self._lost = True
                return
            try:
                self.renew()
                wait_s = self.lease_s / 3
            except LeaseLost:
                self._lost = True
            except Exception as error:  # noqa: BLE001  a heartbeat ends with its lease, by nothing else
                log.warning("job %s: renewal failed: %s", self.claim.job.id, error)
                wait_s = self._pause_s

    @contextmanager
    def beating(self) -> Iterator["Lease"]:
        thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join(timeout=1.0)
