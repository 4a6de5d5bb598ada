"""The doorbell: a message that says a queue has work. All of workers that the API may import.

A ring may be lost, repeated or refused: the row is the truth, and housekeeping rings again. So a ring waits
for a frozen broker once, briefly, and then not at all until it may be back.
"""

import logging
import time
from collections.abc import Callable

import redis
from celery import Celery

from storage.breaker import CircuitBreaker
from storage.meters import observed
from storage.settings import Settings
from storage.tracing import span

Ring = Callable[[str, str], None]  # (queue, job id): fast, and never raises

TASK = "workers.tasks.work"
TIMEOUT_S = 0.5
LONG_S = 14 * 24 * 3600  # far above the longest job: the lease, not the broker, guards a job

log = logging.getLogger(__name__)


class Doorbell:
    """Thread-safe. Never raises: what could not be rung is healed by housekeeping."""

    def __init__(self, redis_url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        sockets = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        self._breaker = CircuitBreaker()
        self._timeout_s = timeout_s
        self._redis = redis.Redis.from_url(redis_url, retry=None, **sockets)
        self._celery = Celery("editq.doorbell", broker=redis_url, set_as_current=False)
        self._celery.conf.update(
            broker_connection_timeout=timeout_s,
            broker_pool_limit=4,
            broker_transport_options={**sockets, "max_retries": 0, "visibility_timeout": LONG_S},
            result_backend=None,
            task_ignore_result=True,
            task_serializer="json",
        )

    def ring(self, queue: str, job_id: str) -> None:
        """Say that `queue` has work; `job_id` is a hint for whoever reads the log."""
        if not self._breaker.allows():
            return
        began = time.monotonic()
        try:
            try:
                self._send(queue, job_id)
            except Exception:  # a connection that the broker closed long ago fails at once: dial again
                if time.monotonic() - began > self._timeout_s / 2:
                    raise
                self._send(queue, job_id)
        except Exception as error:  # noqa: BLE001  kombu's, redis's and the system's errors alike
            self._breaker.failed()
            log.warning("the doorbell of %s did not ring: %s", queue, error)
        else:
            self._breaker.succeeded()

    def _send(self, queue: str, job_id: str) -> None:
        with observed("broker", "ring"), span("ring", kind="producer", queue=queue):
            self._celery.send_task(TASK, args=(queue, job_id), queue=queue, retry=False)

    def waiting(self, queue: str) -> int | None:
        """How many messages wait for a worker; None when the broker does not answer."""
        try:
            with observed("broker", "length"):
                count = self._redis.llen(queue)
        except (redis.RedisError, OSError) as error:
            log.warning("the length of %s is not known: %s", queue, error)
            return None
        return int(count)


def make_ring(settings: Settings) -> Ring:
    return Doorbell(settings.redis_url).ring
