"""A circuit breaker: after a failure a server is left alone for a while: callers do not wait."""

import threading
import time


class CircuitBreaker:
    """Shared by threads. Closed: everybody may try. Open: nobody, until one may probe again.

    if breaker.allows():
        try: ...; breaker.succeeded()
        except ServerAway: breaker.failed()
    """

    def __init__(self, *, pause_s: float = 1.0, longest_pause_s: float = 10.0) -> None:
        self._first_pause_s = self._pause_s = pause_s
        self._longest_pause_s = longest_pause_s
        self._open_until: float | None = None
        self._lock = threading.Lock()

    def allows(self) -> bool:
        """Whether to try now. While open, one caller after each pause gets a True: the probe."""
        with self._lock:
            if self._open_until is None:
                return True
            if time.monotonic() < self._open_until:
                return False
            self._open_until = time.monotonic() + self._pause_s
            return True

    def succeeded(self) -> None:
        with self._lock:
            self._open_until = None
            self._pause_s = self._first_pause_s

    def failed(self) -> None:
        with self._lock:
            if self._open_until is not None:
                self._pause_s = min(2 * self._pause_s, self._longest_pause_s)
            self._open_until = time.monotonic() + self._pause_s
