"""Retention and the garbage collector: rows and outputs whose time has passed, objects that no record needs.

An object that no record needs is marked. When it has been marked for the grace period it is looked at again
under lock, condemned, removed and forgotten. So an object is safe while an upload, an attempt or a release is
still about to name it; and whoever dies in the middle of this leaves marks that a later pass goes on from.
"""

import logging
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from storage.retention import CONDEMNED_FOR_S
from storage.settings import Settings
from storage.stores import Stores
from workers.bulk.used import Used, is_result
from workers.models import OBJECT_PREFIX

LOCK = "garbage"
LOCK_MARGIN_S = 600.0
PAUSE_AFTER_TROUBLE_S = 60.0
KEYS_AT_ONCE = 500
ROWS_AT_ONCE = 100

log = logging.getLogger(__name__)


class Garbage:
    def __init__(self, stores: Stores, settings: Settings) -> None:
        self._stores, self._settings = stores, settings

    def run(self, ended: threading.Event) -> None:
        """Pass after pass. The lock is kept in between: all workers together make one pass an interval."""
        every_s = self._settings.garbage_every_s
        while not ended.wait(self._settings.housekeeping_s):
            try:
                with self._stores.locks.hold(LOCK, lease_s=every_s + LOCK_MARGIN_S) as mine:
                    if mine:
                        ended.wait(self._pass(every_s))
            except Exception as error:  # noqa: BLE001  the next pass tries again
                log.warning("garbage: %s", error)

    def _pass(self, every_s: float) -> float:
        """How long to wait after it."""
        try:
            self.tidy()
        except Exception as error:  # noqa: BLE001
            log.warning("garbage: %s", error)
            return min(every_s, PAUSE_AFTER_TROUBLE_S)
        return every_s

    def tidy(self) -> None:
        """One pass. Any number may be under way at once, and each may end anywhere."""
        self.expire()
        self.expire_batches()
        self.purge()
        self.mark()
        self.collect()
        swept = self._stores.objects.sweep(older_than_s=self._settings.garbage_grace_s)
        if swept:
            log.info("garbage: %d unfinished writes were cleared away", swept)

    def expire(self) -> None:
        """Outputs whose time has passed: first rows no longer name them, then they go."""
        retention, kept_s = self._stores.retention, self._settings.outputs_kept_s
        while jobs := retention.expire_outputs(kept_s=kept_s, limit=ROWS_AT_ONCE):
            keys = [ref.key for job in jobs for ref in job.outputs.values()]
            self._stores.objects.delete(sorted(retention.unneeded(keys)))
            log.info("the outputs of %d jobs have expired", len(jobs))

    def expire_batches(self) -> None:
        """The same of batches. Results of items go when no other batch uses them: by mark and collect."""
        retention, kept_s = self._stores.retention, self._settings.outputs_kept_s
        while keys := retention.expire_batches(kept_s=kept_s):
            self._stores.objects.delete(sorted(retention.unneeded(keys)))
            log.info("the outputs of batches have expired: %d objects", len(keys))

    def purge(self) -> None:
        """Rows whose time has passed: of jobs never before their outputs."""
        retention, settings = self._stores.retention, self._settings
        kept_s = max(settings.jobs_kept_s, settings.outputs_kept_s)
        while purged := retention.purge_jobs(kept_s=kept_s, limit=ROWS_AT_ONCE):
            log.info("%d jobs were purged", purged)
        while purged := retention.purge_batches(kept_s=kept_s):
            log.info("%d batches were purged", purged)
        retention.purge_keys(kept_s=settings.idempotency_kept_s)
        retention.purge_usage(kept_s=settings.usage_kept_s)
        while forgotten := retention.expire_inversions(kept_s=settings.keep_inversions_s, limit=ROWS_AT_ONCE):
            log.info("%d inversions were not used for long", forgotten)

    def mark(self) -> None:
        """Look through the whole store."""
        retention, seen, marked = self._stores.retention, 0, 0
        used: Used | None = None
        for keys in batches(self._stores.objects.list("")):
            # weights that the environment names are in no record; what batches use is in their ledgers
            unneeded = retention.unneeded(keys) - self._named()
            if any(map(is_result, unneeded)):
                used = used or Used.read(self._stores)
                unneeded -= used.of(unneeded)
            retention.mark(unneeded)
            seen, marked = seen + len(keys), marked + len(unneeded)
        log.info("garbage: of %d objects, %d are needed by no record", seen, marked)

    def _named(self) -> set[str]:
        """Keys of the weights that the environment names."""
        named = (self._settings.perceptual_weights, self._settings.inception_weights)
        return {each.removeprefix(OBJECT_PREFIX) for each in named if each is not None}

    def collect(self) -> None:
        """Remove what has been marked for the grace period and is still unneeded."""
        retention, grace_s = self._stores.retention, self._settings.garbage_grace_s
        while keys := retention.marked(longer_than_s=grace_s, limit=KEYS_AT_ONCE):
            if any(map(is_result, keys)):  # once more: batches may have come to use them since
                spared = Used.read(self._stores).of(keys)
                retention.spare(spared)
                keys = tuple(key for key in keys if key not in spared)
                if not keys:
                    continue
            began = time.monotonic()
            self.remove(retention.condemn(keys), until=began + CONDEMNED_FOR_S / 2)

    def remove(self, condemned: Collection[str], *, until: float) -> None:
        """Remove and forget. Whoever was held up for too long leaves them to who condemns them next."""
        if time.monotonic() < until:
            self._stores.objects.delete(sorted(condemned))
        if time.monotonic() < until:
            self._stores.retention.forget(condemned)
            log.info("garbage: %d objects removed", len(condemned))


def batches(keys: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(keys)
    while batch := list(islice(rest, KEYS_AT_ONCE)):
        yield batch
