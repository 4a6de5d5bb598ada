"""Outputs of an attempt on their way to the object store, a few at once, while its work goes on: each is put
into bytes, and waits for disk or network."""

import contextvars
import functools
from collections.abc import Callable, Iterator, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import BoundedSemaphore
from typing import Any, TypeVar

from storage.records import ObjectRef
from storage.stores import Objects

T = TypeVar("T")
AT_ONCE = 4
WAITING = 8  # outputs in memory at most, those being written among them


class Refs(MutableMapping[str, ObjectRef]):
    """Outputs by name. One that is on its way is waited for where it is looked at, and raises what it met."""

    def __init__(self) -> None:
        self._refs: dict[str, ObjectRef | Future[ObjectRef]] = {}

    def expect(self, name: str, ref: "Future[ObjectRef]") -> None:
        self._refs[name] = ref

    def __getitem__(self, name: str) -> ObjectRef:
        ref = self._refs[name]
        return ref if isinstance(ref, ObjectRef) else ref.result()

    def __setitem__(self, name: str, ref: ObjectRef) -> None:
        self._refs[name] = ref

    def __delitem__(self, name: str) -> None:
        del self._refs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._refs)

    def __len__(self) -> int:
        return len(self._refs)


class Writer:
    """Takes outputs and other work, and does it meanwhile."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._room = BoundedSemaphore(WAITING)
        self._under_way: list[Future[Any]] = []

    def put(
        self, key: str, make: Callable[[], bytes], media_type: str, *, then: Callable[[], None]
    ) -> "Future[ObjectRef]":
        """What `make` gives will be there. `then` is called once it is; both in another thread."""
        self._room.acquire()

        def write() -> ObjectRef:
            try:
                ref = self._objects.put(key, make(), media_type)
                then()
                return ref
            finally:
                self._room.release()

        return self.do(write)

    def do(self, work: Callable[[], T]) -> "Future[T]":
        """Work that nothing waits for but the attempt's end."""
        run = contextvars.copy_context().run  # lines of the log tell of the same job
        done: Future[T] = _threads().submit(run, work)
        self._under_way.append(done)
        return done

    def wait(self) -> None:
        """Until nothing is under way, however it ended."""
        wait(self._under_way)

    def finish(self) -> None:
        """Until all of it is done. Raises what the store raised, the first of it."""
        for written in self._under_way:
            written.result()


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="output")
