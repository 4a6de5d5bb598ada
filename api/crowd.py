"""How many requests are worked on at once in a process. Who comes beyond that is told to come back.

More at once would not be answered sooner: they share one interpreter and a few connections to the database,
and past what these can do each request only makes all others wait. A short rush waits for its turn; once
somebody has waited in vain, the wait is next to none, so that those let in are answered soon and the rest
learns at once (after CoDel's rule as servers use it: B. Maurer, "Fail at Scale", ACM Queue 13, 2015).
"""

import threading
import time

RUSH_WAIT_S, CROWDED_WAIT_S = 0.75, 0.02
CROWDED_S = 2.0  # for so long after somebody was turned away
HELD_S = 1.0


class Crowd:
    """So many places. Safe for threads.

    One is held for a second at most: who is still there then waits for somebody else, a client that sends
    slowly or a store, and must not lock the others out.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._inside: dict[object, float] = {}  # since when; the oldest first
        self._waiting = 0
        self._crowded_until = 0.0
        self._changed = threading.Condition()

    def enter(self) -> object | None:
        """What to `leave` with, or None where there was no place in time."""
        with self._changed:
            now = time.monotonic()
            if self._waiting == 0 and self._has_place(now):
                return self._enter(now)
            patience_s = CROWDED_WAIT_S if now < self._crowded_until else RUSH_WAIT_S
            self._waiting += 1
            try:
                there = self._changed.wait_for(lambda: self._has_place(time.monotonic()), patience_s)
            finally:
                self._waiting -= 1
            now = time.monotonic()
            if not there:
                self._crowded_until = now + CROWDED_S
                return None
            return self._enter(now)

    def leave(self, place: object) -> None:
        """May be called more than once."""
        with self._changed:
            if self._inside.pop(place, None) is not None:
                self._changed.notify()

    def _has_place(self, now: float) -> bool:
        while self._inside and (oldest := next(iter(self._inside.items())))[1] < now - HELD_S:
            del self._inside[oldest[0]]
        return len(self._inside) < self._places

    def _enter(self, now: float) -> object:
        place = object()
        self._inside[place] = now
        return place
