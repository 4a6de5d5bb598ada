"""The doorbell: a message that says a queue has work. All of workers that the API may import.

A ring may be lost, repeated or refused: the row is the truth, and housekeeping rings again. So a ring waits
for a frozen broker once, briefly, and then not at all until it may be back.
"""

import base64
import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis

from storage.breaker import CircuitBreaker
from storage.meters import observed
from storage.tracing import span

Ring = Callable[[str, str], None]  # (queue, hint): fast, and never raises

TASK = "workers.tasks.work"
TIMEOUT_S = 0.5
LONG_S = 14 * 24 * 3600  # far above the longest job: the lease, not the broker, guards a job

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hint:
    """What a ring says beside its queue: what it was rung for, the model which that needs, and how many
    workers passed it on that have not loaded it. Who hears it takes the best job there is, all the same."""

    about: str
    model: str = ""
    passed: int = 0

    def __str__(self) -> str:
        return f"{self.about} {self.model} {self.passed}" if self.model else self.about

    @classmethod
    def read(cls, text: str) -> "Hint":
        about, *rest = text.split(" ")
        if len(rest) == 2 and rest[1].isdecimal():
            return cls(about, rest[0], int(rest[1]))
        return cls(about)


class Doorbell:
    """Thread-safe. Never raises: what could not be rung is healed by housekeeping."""

    def __init__(self, redis_url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        sockets = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
        self._breaker = CircuitBreaker()
        self._timeout_s = timeout_s
        self._redis = redis.Redis.from_url(redis_url, retry=None, **sockets)

    def ring(self, queue: str, hint: str) -> None:
        """Say that `queue` has work; `hint` as Hint writes it, or a few words for whoever reads the log."""
        if not self._breaker.allows():
            return
        began = time.monotonic()
        try:
            try:
                self._send(queue, hint)
            except Exception:  # a connection that the broker closed long ago fails at once: dial again
                if time.monotonic() - began > self._timeout_s / 2:
                    raise
                self._send(queue, hint)
        except Exception as error:  # noqa: BLE001  redis's and the system's errors alike
            self._breaker.failed()
            log.warning("the doorbell of %s did not ring: %s", queue, error)
        else:
            self._breaker.succeeded()

    def _send(self, queue: str, hint: str) -> None:
        with observed("broker", "ring"), span("ring", kind="producer", queue=queue):
            self._redis.lpush(queue, message(queue, hint))

    def heard(self, queue: str, timeout_s: float) -> str | None:
        """The hint of a ring that came within so long, which is this caller's then. Below TIMEOUT_S."""
        if not self._breaker.allows():
            return None
        try:
            found: Any = self._redis.brpop([queue], timeout=timeout_s)
        except (redis.RedisError, OSError):
            return None
        return None if found is None else hint_of(found[1])

    def waiting(self, queue: str) -> int | None:
        """How many messages wait for a worker; None when the broker does not answer."""
        try:
            with observed("broker", "length"):
                count = self._redis.llen(queue)
        except (redis.RedisError, OSError) as error:
            log.warning("the length of %s is not known: %s", queue, error)
            return None
        return int(count)


def hint_of(raw: bytes) -> str:
    """Of a message as `message` writes it; of another one, nothing."""
    try:
        return str(json.loads(base64.b64decode(json.loads(raw)["body"]))[0][1])
    except (ValueError, LookupError, TypeError):
        return ""


def message(queue: str, hint: str) -> str:
    """What Celery's own send_task puts into a queue: its protocol's version 2, in the envelope of kombu.

    Made here, since that takes a fifth of a submit (docs/decisions/0036-a-ring-is-one-push.md).
    """
    options = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    body = json.dumps([[queue, hint], {}, options]).encode()
    task_id = str(uuid.uuid4())
    unused = ("shadow", "eta", "expires", "group", "group_index", "parent_id", "ignore_result")
    headers: dict[str, object] = {
        **dict.fromkeys((*unused, "stamped_headers")),
        "lang": "py",
        "task": TASK,
        "id": task_id,
        "root_id": task_id,
        "retries": 0,
        "timelimit": [None, None],
        "argsrepr": repr((queue, hint)),
        "kwargsrepr": "{}",
        "origin": f"{os.getpid()}@{socket.gethostname()}",
        "replaced_task_nesting": 0,
        "stamps": {},
    }
    properties = {
        "correlation_id": task_id,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": queue},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    envelope = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": properties,
    }
    return json.dumps(envelope)
