"""Outputs of an attempt on their way to the object store, a few at once: each waits for disk or network."""

import contextvars
import functools
import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import BoundedSemaphore

from storage.records import ObjectRef
from storage.stores import Objects

AT_ONCE = 4
WAITING = 8  # outputs in memory at most, those being written among them


class Writer:
    """Takes outputs, and writes them meanwhile."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._room = BoundedSemaphore(WAITING)
        self._under_way: list[Future[None]] = []

    def put(self, key: str, data: bytes, media_type: str, *, then: Callable[[], None]) -> ObjectRef:
        """What will be there. `then` is called, in another thread, once it is."""
        self._room.acquire()
        run = contextvars.copy_context().run  # lines of the log tell of the same job
        self._under_way.append(_threads().submit(run, self._write, key, data, media_type, then))
        return ObjectRef(key, hashlib.sha256(data).hexdigest(), len(data), media_type)

    def _write(self, key: str, data: bytes, media_type: str, then: Callable[[], None]) -> None:
        try:
            self._objects.put(key, data, media_type)
            then()
        finally:
            self._room.release()

    def wait(self) -> None:
        """Until nothing is under way, however it ended."""
        wait(self._under_way)

    def finish(self) -> None:
        """Until all that was put is written. Raises what the store raised, the first of it."""
        for written in self._under_way:
            written.result()


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="output")
