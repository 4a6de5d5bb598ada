"""A housekeeper that dies in a pass keeps its lock; housekeeping goes on all the same."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from storage.memory import MemoryLocks, memory_stores
from storage.records import Status
from storage.settings import Settings
from workers.housekeeping import Housekeeper
from workers.queue import Doorbell

pytestmark = pytest.mark.thorough

NOBODY = "redis://127.0.0.1:1/0"


class DyingHolders(MemoryLocks):
    """Nobody gives a lock back: it is over when its time is."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[AbstractContextManager[bool]] = []

    @contextmanager
    def hold(self, name: str, *, lease_s: float) -> Iterator[bool]:
        self.held.append(super().hold(name, lease_s=lease_s))
        yield self.held[-1].__enter__()


def test_another_takes_over_soon(tmp_path: Path) -> None:
    locks = DyingHolders()
    stores = replace(memory_stores(), locks=locks)
    keeper = Housekeeper(stores, Doorbell(NOBODY), Settings(data_dir=tmp_path, housekeeping_s=0.05))
    ended = threading.Event()
    thread = threading.Thread(target=keeper.run, args=(ended,))
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while len(locks.held) < 2:  # the first pass has the lock for good
            assert time.monotonic() < deadline
            time.sleep(0.01)
        job = stores.jobs.add("local", "sample", {})
        assert stores.jobs.claim("gpu", "w", lease_s=0.01)
        while stores.jobs.get("local", job.id).status is Status.RUNNING:
            assert time.monotonic() < deadline, "the lease of a dead worker is still not over"
            time.sleep(0.01)
    finally:
        ended.set()
        thread.join()
