"""A bounded number of requests that hold a thread while they wait: event streams and long polls.

They have a budget of threads of their own: the rest stays free for requests that end at once, however many
wait. A client that left gives its place back soon.
"""

import socket
from collections.abc import Callable, Mapping
from threading import BoundedSemaphore, Lock
from typing import Any

REQUEST_THREADS = 16
WAITING_THREADS = 112


def places_of(threads: int) -> int:
    """How many of so many threads may wait: all but those for requests, of a small number half."""
    return max(1, threads - min(REQUEST_THREADS, threads // 2))


def worked_on_of(threads: int) -> int:
    """How many requests may be worked on at once: a quarter of the rest, whose other threads refuse."""
    return max(1, (threads - places_of(threads)) // 4)


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


def departure(environ: Mapping[str, Any]) -> Callable[[], bool]:
    """A function that says whether the client has closed its connection (False where that is not to be seen).

    Writing would show it too, but a quiet stream writes only every 15 seconds.
    """
    connection = environ.get("gunicorn.socket")

    def left() -> bool:
        try:
            return connection is not None and not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except (BlockingIOError, ValueError):  # nothing sent, all well; or encrypted, and not to be peeked at
            return False
        except OSError:
            return True

    return left
