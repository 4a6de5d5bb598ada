"""What needs no GPU: leases and deadlines that have passed end here, and lost rings are rung again.

Any number of workers run this; each pass is taken by one of them, under a lock in the database. Beside it
go the webhooks, which every worker sends, and the garbage collector, which has a lock of its own.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from storage.log import about_job
from storage.meters import meters
from storage.records import CPU_QUEUE, GPU_QUEUE, Status
from storage.settings import Settings
from storage.stores import Stores
from workers.garbage import Garbage
from workers.queue import Doorbell
from workers.webhooks import Deliveries

LOCK = "housekeeping"
SHORTEST_LOCK_S = 2.0
LONGEST_PAUSE_PASSES = 4
MOST_RINGS = 1000

log = logging.getLogger(__name__)


@dataclass
class Backoff:
    """How long a queue that was rung for is left alone: a pass, and longer while it goes on missing rings.

    A few passes at most: a message that a worker has in hand, and not yet answered by a claim, is counted
    as missing too, so a queue may look rung for in vain where it is only busy.
    """

    pass_s: float
    pause_s: float = 0.0
    not_before: float = 0.0

    def rung(self, now: float) -> None:
        self.pause_s = min(LONGEST_PAUSE_PASSES * self.pass_s, max(self.pass_s, 2 * self.pause_s))
        self.not_before = now + self.pause_s

    def rest(self) -> None:
        self.pause_s = self.not_before = 0.0


class Housekeeper:
    def __init__(self, stores: Stores, bell: Doorbell, settings: Settings) -> None:
        self._stores, self._bell, self._settings = stores, bell, settings
        # Longer than a pass, yet soon over: a housekeeper that dies in a pass lets nobody else in until then.
        self._lock_s = max(SHORTEST_LOCK_S, 2 * settings.housekeeping_s)
        self._backoffs = {queue: Backoff(settings.housekeeping_s) for queue in (GPU_QUEUE, CPU_QUEUE)}

    def run(self, ended: threading.Event) -> None:
        """Pass after pass, until told to end. Trouble is logged; the next pass tries again."""
        _start("garbage", Garbage(self._stores, self._settings).run, ended)
        _start("webhooks", self._send_webhooks, ended)
        while not ended.wait(self._settings.housekeeping_s):
            try:
                with self._stores.locks.hold(LOCK, lease_s=self._lock_s) as mine:
                    if mine:
                        self.tidy()
                        meters().housekeeping_passes.labels("done").inc()
            except Exception as error:  # noqa: BLE001  a pass may fail, housekeeping does not end
                meters().housekeeping_passes.labels("failed").inc()
                log.warning("housekeeping: %s", error)

    def tidy(self) -> None:
        """One pass."""
        for job in self._stores.jobs.expire(max_lost=self._settings.max_lost):
            with about_job(job):
                log.warning("job %s: its lease passed, now %s (lost %d)", job.id, job.status, job.lost)
            if job.status is Status.QUEUED:
                self._bell.ring(job.queue, job.id)
        for job in self._stores.jobs.overdue():
            with about_job(job):
                log.warning("job %s: its deadline passed, now %s", job.id, job.status)
            if job.attempt:  # a worker that still runs it asks the row, and stops
                self._stores.progress.notice_cancel(job.id)
        for batch in self._stores.batches.canceling():
            self._stores.batches.carry_out_cancel(batch.id)
        for queue, backoff in self._backoffs.items():
            self._ring_again(queue, backoff)

    def _send_webhooks(self, ended: threading.Event) -> None:
        if self._settings.webhook_secret is None:
            return  # no job names a webhook then
        try:
            Deliveries(self._stores.outbox, self._settings).run(ended)
        except ValueError as error:
            log.error("no webhooks are sent, their settings are wrong: %s", error)

    def _ring_again(self, queue: str, backoff: Backoff) -> None:
        """Ring at most as often as there are eligible rows without a message waiting."""
        now = time.monotonic()
        if now < backoff.not_before:
            return
        eligible = self._stores.jobs.eligible(queue)
        waiting = self._bell.waiting(queue) if eligible else 0
        missing = 0 if waiting is None else min(MOST_RINGS, eligible - waiting)
        if missing <= 0:
            backoff.rest()
            return
        log.info("%s: %d eligible, %d messages waiting: ringing %d times", queue, eligible, waiting, missing)
        for _ in range(missing):
            self._bell.ring(queue, LOCK)
        backoff.rung(now)


def _start(name: str, target: Callable[[threading.Event], None], ended: threading.Event) -> None:
    threading.Thread(target=target, args=(ended,), name=name, daemon=True).start()
