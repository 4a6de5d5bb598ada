"""Webhooks on their way out: due rows of the outbox are sent, tried again with growing pauses, given up.

Every housekeeping worker runs this in a thread of its own, with a pool for the calls. A row is leased by
whoever takes it, so none is sent twice at once; after a crash it is sent again under the same id.
"""

import logging
import random
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from storage.pinned import CallFailed
from storage.records import Delivery
from storage.settings import Settings
from storage.upkeep import Outbox
from workers.sending import Answer, Caller

PAUSES_S = (5.0, 30.0, 120.0, 600.0, 3600.0, 3 * 3600.0, 6 * 3600.0, 12 * 3600.0, 24 * 3600.0)
LONGEST_RETRY_AFTER_S = 24 * 3600.0
GONE = 410

CALLS_AT_ONCE = 32
TAKEN_AT_ONCE = 4  # a receiver with so many calls under way gets no more for now: others have their turn
POLL_S = 1.0
LEASE_MARGIN_S = 60.0  # for what is not the call itself: a busy machine, a database that is away

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivered:
    pass


@dataclass(frozen=True, slots=True)
class Again:
    error: str
    after_s: float


@dataclass(frozen=True, slots=True)
class GivenUp:
    error: str


def decide(outcome: Answer | CallFailed, *, tries: int) -> Delivered | Again | GivenUp:
    """What becomes of a delivery after its `tries`-th call. Pauses are spread by a fifth."""
    if isinstance(outcome, CallFailed):
        error, asked_s = str(outcome), None
    elif 200 <= outcome.status < 300:
        return Delivered()
    else:
        error, asked_s = f"answered {outcome.status}", outcome.retry_after_s
        if outcome.status == GONE:
            return GivenUp(error)
    if tries > len(PAUSES_S):
        return GivenUp(error)
    pause_s = PAUSES_S[max(0, tries - 1)] * random.uniform(0.8, 1.2)
    return Again(error, max(pause_s, min(asked_s or 0.0, LONGEST_RETRY_AFTER_S)))


class Deliveries:
    """Raises ValueError for settings that no call can be made with."""

    def __init__(self, outbox: Outbox, settings: Settings, caller: Caller | None = None) -> None:
        assert settings.webhook_secret is not None
        secret, timeout_s = settings.webhook_secret.get_secret_value(), settings.webhook_timeout_s
        self._outbox = outbox
        self._lease_s = timeout_s + LEASE_MARGIN_S
        self._caller = caller or Caller(secret, settings.webhook_networks, timeout_s=timeout_s)

    def run(self, ended: threading.Event) -> None:
        """Until told to end; then what is under way is waited for, which takes one timeout at most."""
        under_way: dict[Future[None], str] = {}
        with ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="webhook") as pool:
            while not ended.is_set():
                under_way = {future: origin for future, origin in under_way.items() if not future.done()}
                taken = self._take(under_way)
                for delivery in taken:
                    under_way[pool.submit(self.deliver, delivery)] = origin_of(delivery.url)
                if taken:
                    continue
                if under_way:
                    wait(under_way, timeout=POLL_S, return_when=FIRST_COMPLETED)
                else:
                    ended.wait(POLL_S)

    def _take(self, under_way: Mapping[Future[None], str]) -> tuple[Delivery, ...]:
        """Rows for threads that are free; none of a receiver that is busy with its share."""
        free = CALLS_AT_ONCE - len(under_way)
        if not free:
            return ()
        busy = [origin for origin, calls in Counter(under_way.values()).items() if calls >= TAKEN_AT_ONCE]
        try:
            return self._outbox.due(lease_s=self._lease_s, limit=min(free, TAKEN_AT_ONCE), without=busy)
        except Exception as error:  # noqa: BLE001  an outage of the database ends no delivery
            log.warning("webhooks: %s", error)
            return ()

    def deliver(self, delivery: Delivery) -> None:
        """One call, and what comes of it on the row. Never raises: a row that stays leased is due again."""
        try:
            self._settle(delivery, decide(self._outcome(delivery), tries=delivery.tries))
        except Exception as error:  # noqa: BLE001
            log.warning("webhook %s: %s", delivery.id, error)

    def _outcome(self, delivery: Delivery) -> Answer | CallFailed:
        taken_at = delivery.next_at - self._lease_s  # the database's clock: this machine's may be wrong
        try:
            return self._caller.call(delivery, at=taken_at)
        except CallFailed as failed:
            return failed
        except Exception as error:
            log.exception("webhook %s could not be sent", delivery.id)
            return CallFailed(f"could not be sent ({type(error).__name__})")

    def _settle(self, delivery: Delivery, decision: Delivered | Again | GivenUp) -> None:
        match decision:
            case Delivered():
                self._outbox.delivered(delivery)
                log.info("webhook %s: delivered", delivery.id)
            case Again(error, after_s):
                self._outbox.postponed(delivery, error=error, after_s=after_s)
                log.info("webhook %s: %s; again in %.0f s", delivery.id, error, after_s)
            case GivenUp(error):
                self._outbox.postponed(delivery, error=error, after_s=None)
                log.warning("webhook %s: given up after %d tries: %s", delivery.id, delivery.tries, error)


def origin_of(url: str) -> str:
    """How all URLs of one receiver begin: scheme, host and port, as they are written."""
    scheme, _, rest = url.partition("://")
    for end in "/?#":
        rest = rest.partition(end)[0]
    return f"{scheme}://{rest}"
