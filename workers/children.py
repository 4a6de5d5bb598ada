"""The parent sees its pool child die, and gives its job back at once: its lease need not pass first."""

import logging
import os
import time
from typing import Any

from storage.errors import StorageUnavailable
from storage.log import about_job
from storage.meters import forget_process
from storage.records import Status
from storage.settings import Settings
from storage.stores import Jobs
from workers.queue import Ring

EVERY_S = 0.05
log = logging.getLogger(__name__)


class Children:
    """Watches the processes of a Celery pool, until this process ends."""

    def __init__(self, pool: Any, worker: str, jobs: Jobs, ring: Ring, settings: Settings) -> None:
        self._pool, self._worker, self._jobs, self._ring = pool, worker, jobs, ring
        self._lease_s, self._max_lost = settings.lease_s, settings.max_lost
        self._alive: dict[int, Any] = {}  # billiard's processes, by pid

    def run(self) -> None:
        while True:
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  the leases still pass, and this thread goes on
                log.warning("pool children: %s", error)
            time.sleep(EVERY_S)

    def look(self) -> None:
        processes = list(getattr(self._pool._pool, "_pool", None) or ())  # none once the pool has ended
        self._alive.update({process.pid: process for process in processes if process.pid})
        for pid, process in list(self._alive.items()):
            status = exit_status(process)
            if status is not None:
                del self._alive[pid]
                forget_process(pid)
                self._release(pid, told(status))

    def _release(self, pid: int, cause: str) -> None:
        """Put back what it was running; while storage is away again and again, until its lease has passed."""
        give_up = time.monotonic() + self._lease_s
        while True:
            try:
                released = self._jobs.release(self._worker, pid, cause=cause, max_lost=self._max_lost)
                break
            except StorageUnavailable as error:
                if time.monotonic() > give_up:
                    log.warning("pool child %d: %s; its job waits for its lease: %s", pid, cause, error)
                    return
                time.sleep(EVERY_S)
        for job in released:
            with about_job(job):
                log.warning("job %s: its pool child %d: %s; now %s", job.id, pid, cause, job.status.value)
            if job.status is Status.QUEUED:
                self._ring(job.queue, job.id)


def exit_status(process: Any) -> int | None:
    """Negative for a signal, None while it lives. It is left for the pool to collect."""
    try:
        found = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # the pool was faster, and knows
        status: int | None = process._popen.returncode
        return status
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def told(status: int) -> str:
    """How a process ended."""
    if status >= 0:
        return f"exited with status {status}"
    return f"killed by signal {-status}"
