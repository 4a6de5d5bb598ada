"""What goes on beside an operation: items are read and decoded ahead of it, results written behind it.

Threads do for both: reading, decoding, encoding and hashing leave the interpreter to the operation. How many
items are in hand is bounded on either side.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Stopwatch:
    """Adds up how long its owner waited."""

    def __init__(self) -> None:
        self.waited_s = 0.0

    def wait(self, future: "Future[R]") -> R:
        began = time.perf_counter()
        try:
            return future.result()
        finally:
            self.waited_s += time.perf_counter() - began


def ahead(
    pool: ThreadPoolExecutor, read: Callable[[T], R], items: Iterable[T], *, most: int, watch: Stopwatch
) -> Iterator[R]:
    """read(item) of each, in their order, begun for up to `most` of them before they are asked for.

    Half of those are begun at once: to wake a thread for each item would cost more than to read some.
    Raises what read raises, for the first item that it raises it for.
    """
    begun: deque[Future[R]] = deque()
    source = iter(items)
    try:
        while True:
            if len(begun) <= most // 2:
                begun.extend(pool.submit(read, item) for item in islice(source, most - len(begun)))
            if not begun:
                return
            yield watch.wait(begun.popleft())
    finally:
        for future in begun:
            future.cancel()


class Behind(Generic[R]):
    """Calls that are done by threads, in any order, `most` of them in hand at a time."""

    def __init__(self, pool: ThreadPoolExecutor, *, most: int, watch: Stopwatch) -> None:
        self._pool, self._most, self._watch = pool, most, watch
        self._begun: deque[Future[R]] = deque()

    def submit(self, call: Callable[[], R]) -> Iterator[R]:
        """Begin a call; the results of those that had to end before. Raises what they raise."""
        while len(self._begun) >= self._most:
            yield self._watch.wait(self._begun.popleft())
        self._begun.append(self._pool.submit(call))

    def done(self) -> Iterator[R]:
        """Results of calls that have ended by now, in the order in which they were begun."""
        while self._begun and self._begun[0].done():
            yield self._begun.popleft().result()

    def rest(self) -> Iterator[R]:
        while self._begun:
            yield self._watch.wait(self._begun.popleft())
