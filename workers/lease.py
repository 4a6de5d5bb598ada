"""The heartbeat that keeps a claim, and tells its loop to stop."""

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import TypeVar

from storage.errors import LeaseLost, Stalled, StorageUnavailable
from storage.records import Claim
from storage.stores import Jobs
from workers.guard import Guard

T = TypeVar("T")
log = logging.getLogger(__name__)


class Stop(Enum):
    """Why a loop must leave its job; the first of these that holds counts."""

    LOST = "lost"
    CANCEL = "cancel"
    DRAIN = "drain"
    GIVE_WAY = "gave_way"


class Stopped(Exception):
    """The loop was told to leave, and does. (A lost lease is LeaseLost.)"""

    def __init__(self, reason: Stop) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Phase(Enum):
    LOADING = "loading"
    OPERATING = "operating"
    SAVING = "saving"


class Lease:
    """A claim being kept. `until` is judged on this process's own clock, counted from before each request.

    `on_stall` is called in the heartbeat's thread once a phase has been still for longer than its limit.
    """

    def __init__(
        self,
        claim: Claim,
        jobs: Jobs,
        *,
        lease_s: float,
        stall_limits_s: Mapping[Phase, float],
        since: float,
        draining: Callable[[], bool],
        on_stall: "Callable[[Stalled, Lease], None]",
        guard: Guard,
    ) -> None:
        self.claim = claim
        self.lease_s = lease_s
        self._jobs = jobs
        self._draining = draining
        self._stall_limits_s = stall_limits_s
        self._on_stall = on_stall
        self._guard = guard
        self._until = since + lease_s
        self._phase = Phase.LOADING
        self._touched = time.monotonic()
        self._cancel = False
        self._drained = False
        self._stalled = False
        self._ended = threading.Event()
        self.refused = False  # the row said that it is another's now
        self.enough = claim.job.stop_requested  # asked to end early, with the best so far

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self._until

    @property
    def stop(self) -> Stop | None:
        """Why to leave now, if so."""
        if self.refused or self._stalled or self.passed:
            return Stop.LOST
        if self._cancel:
            return Stop.CANCEL
        return Stop.DRAIN if self._drained or self._draining() else None

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
        try:
            renewal = self._jobs.renew(self.claim, lease_s=self.lease_s)
        except LeaseLost:
            self.refused = True
            raise
        self._until = before + self.lease_s
        self._cancel = self._cancel or renewal.cancel_requested
        self._drained = self._drained or renewal.draining
        self.enough = self.enough or renewal.stop_requested

    def insist(self, write: Callable[[], T], *, beyond_s: float = 0.0) -> T:
        """Do a write of the row, again and again while storage is away, until so long after the lease."""
        while True:
            try:
                return write()
            except LeaseLost:
                self.refused = True
                raise
            except StorageUnavailable:
                if self.refused or time.monotonic() >= self._until + beyond_s:
                    raise LeaseLost("The lease passed while storage was away.") from None
                time.sleep(self._pause_s)

    @property
    def _pause_s(self) -> float:
        return min(1.0, self.lease_s / 20)

    def _beat(self) -> None:
        """The heartbeat's thread: renew at a third of the lease; after trouble sooner, until it is over."""
        wait_s = self.lease_s / 3
        while not self._ended.wait(wait_s) and self.stop is not Stop.LOST:
            self._arm()
            if self._give_up_stalled():
                return
            try:
                self.renew()
                wait_s = self.lease_s / 3
            except LeaseLost:
                return
            except Exception as error:  # noqa: BLE001  a heartbeat ends with its lease, by nothing else
                log.warning("job %s: renewal failed: %s", self.claim.job.id, error)
                wait_s = self._pause_s

    def _give_up_stalled(self) -> bool:
        still_s = time.monotonic() - self._touched
        if still_s <= self._stall_limits_s[self._phase]:
            return False
        self._stalled = True
        log.error("job %s: still for %.0f s while %s", self.claim.job.id, still_s, self._phase.value)
        self._on_stall(Stalled(f"Nothing moved for {still_s:.0f} s while {self._phase.value}."), self)
        return True

    def _arm(self) -> None:
        """Should even this thread never run again, the guard ends the process."""
        self._guard.arm(self._stall_limits_s[self._phase] + self.lease_s)

    @contextmanager
    def beating(self) -> Iterator["Lease"]:
        beat = contextvars.copy_context().run  # its lines tell of the same job
        thread = threading.Thread(target=beat, args=(self._beat,), name="heartbeat", daemon=True)
        self._arm()
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join(timeout=1.0)
            if self._stalled:  # the heartbeat is about to end the process: nothing new may begin in it
                thread.join()
            self._guard.disarm()
