"""A bounded number of requests that hold a thread while they wait: event streams and long polls.

The rest of the threads stay free for requests that end at once.
"""

from threading import BoundedSemaphore, Lock


class Slot:
    """One place taken. `release` may be called more than once, from any thread."""

    def __init__(self, places: BoundedSemaphore) -> None:
        self._places = places
        self._lock = Lock()
        self._held = True

    def release(self) -> None:
        with self._lock:
            held, self._held = self._held, False
        if held:
            self._places.release()


class Slots:
    """So many places in this process."""

    def __init__(self, count: int) -> None:
        self._places = BoundedSemaphore(count)

    def take(self) -> Slot | None:
        """A place, or None at once when all are taken."""
        return Slot(self._places) if self._places.acquire(blocking=False) else None
