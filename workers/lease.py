"""The heartbeat that keeps a claim, and tells its loop to stop."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import TypeVar

from storage.errors import LeaseLost, Stalled, StorageUnavailable
from storage.log import about_job
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
        self.over = False  # the row is written: nothing is left to keep
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

    def beat(self) -> float | None:
        """Renew, once: after how long to do so again, after trouble sooner; None when it is over."""
        with about_job(self.claim.job):
            if self.over or self.stop is Stop.LOST:
                return None
            self.arm()
            if self._give_up_stalled():
                return None
            try:
                self.renew()
            except LeaseLost:
                return None
            except Exception as error:  # noqa: BLE001  a heartbeat ends with its lease, by nothing else
                log.warning("job %s: renewal failed: %s", self.claim.job.id, error)
                return self._pause_s
            return self.lease_s / 3

    def _give_up_stalled(self) -> bool:
        still_s = time.monotonic() - self._touched
        if still_s <= self._stall_limits_s[self._phase]:
            return False
        self._stalled = True
        log.error("job %s: still for %.0f s while %s", self.claim.job.id, still_s, self._phase.value)
        self._on_stall(Stalled(f"Nothing moved for {still_s:.0f} s while {self._phase.value}."), self)
        return True

    def arm(self) -> None:
        """Should even the heartbeat's thread never run again, the guard ends the process."""
        self._guard.arm(self._stall_limits_s[self._phase] + self.lease_s)

    def end(self) -> None:
        self.over = True

    @property
    def stalled(self) -> bool:
        """Whether the heartbeat found it so, and is about to end the process."""
        return self._stalled


def _beat(leases: Sequence[Lease], ended: threading.Event) -> None:
    """The heartbeat's thread: each lease at a third of its length, until all are over."""
    wait_s = min(lease.lease_s for lease in leases) / 3
    while not ended.wait(wait_s):
        waits_s = [next_s for lease in leases if (next_s := lease.beat()) is not None]
        if not waits_s:
            return
        wait_s = min(waits_s)


@contextmanager
def beating(leases: Sequence[Lease], guard: Guard) -> Iterator[None]:
    """Keep claims, until it is left."""
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(leases, ended), name="heartbeat", daemon=True)
    leases[0].arm()
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=1.0)
        if any(lease.stalled for lease in leases):  # the process is about to end: nothing new may begin in it
            thread.join()
        guard.disarm()
