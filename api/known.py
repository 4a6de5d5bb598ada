"""What was read a moment ago, so that not every request asks the database for it again."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
KNOWN_FOR_S = 5.0


class Known(Generic[T]):
    """What was read of each tenant within the last seconds, by this process."""

    def __init__(self, read: Callable[[str], T], *, for_s: float = KNOWN_FOR_S) -> None:
        self._read, self._for_s = read, for_s
        self._known: dict[str, tuple[float, T]] = {}
        self._lock = threading.Lock()

    def of(self, tenant: str) -> T:
        with self._lock:
            until, known = self._known.get(tenant, (0.0, None))
        if known is not None and time.monotonic() < until:
            return known
        known = self._read(tenant)
        with self._lock:
            self._known[tenant] = time.monotonic() + self._for_s, known
        return known
