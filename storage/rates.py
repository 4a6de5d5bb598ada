"""Token buckets: how fast somebody may ask. In Redis, where all processes share them; in this process while
Redis is away, so that each process then allows the whole rate.

A bucket is one number, when it will be full again (GCRA): each token that is taken moves that on by 1/rate.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from redis import RedisError

from storage.breaker import CircuitBreaker
from storage.limit_records import Taken
from storage.progress import connect

TIMEOUT_S = 0.1
_MOST_BUCKETS = 10_000
_TAKE = """
local time = redis.call('TIME')
local now, each, burst = time[1] + time[2] / 1e6, tonumber(ARGV[1]), tonumber(ARGV[2])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local allowed = full + each - now <= each * burst + 1e-9
if allowed then
  full = full + each
  redis.call('SET', KEYS[1], string.format('%.6f', full), 'PX', math.ceil((full - now) * 1000) + 1000)
end
return {allowed and 1 or 0, string.format('%.6f', full - now)}
"""


class MemoryRates:
    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._full_at: dict[str, float] = {}

    def take(self, name: str, *, per_s: float, burst: int) -> Taken:
        each = 1 / per_s
        with self._lock:
            now = self._clock()
            if len(self._full_at) > _MOST_BUCKETS:
                self._full_at = {key: at for key, at in self._full_at.items() if at > now}
            full_at = max(self._full_at.get(name, now), now)
            allowed = full_at + each - now <= each * burst + 1e-9
            if allowed:
                full_at = self._full_at[name] = full_at + each
        return _taken(allowed, full_at - now, each, burst)


class RedisRates:
    """Safe for threads and after a fork."""

    def __init__(self, url: str, *, prefix: str = "editq:") -> None:
        self._redis = connect(url, timeout_s=TIMEOUT_S)
        self._script: Any = self._redis.register_script(_TAKE)
        self._prefix = prefix
        self._breaker = CircuitBreaker()
        self._here = MemoryRates()

    def take(self, name: str, *, per_s: float, burst: int) -> Taken:
        if self._breaker.allows():
            try:
                allowed, full_in_s = self._script(
                    keys=[f"{self._prefix}rate:{name}"], args=[repr(1 / per_s), burst]
                )
                self._breaker.succeeded()
                return _taken(bool(allowed), float(full_in_s), 1 / per_s, burst)
            except RedisError:
                self._breaker.failed()
        return self._here.take(name, per_s=per_s, burst=burst)


def _taken(allowed: bool, full_in_s: float, each_s: float, burst: int) -> Taken:
    left = max(0, int((each_s * burst - full_in_s) / each_s + 1e-6))
    retry_in_s = 0.0 if allowed else max(0.0, full_in_s + each_s - each_s * burst)
    return Taken(allowed, left, full_in_s, retry_in_s)
