"""The progress board on Redis or Valkey: rumours. Nothing here raises when the server is away; it goes dark.

editq:progress:<job>   stream of JSON messages, capped, gone ten minutes after the last one
editq:cancel:<job>     there while a cancel is to be noticed
editq:worker:<name>    JSON, gone when the worker does not repeat it
editq:workers          names that may have such a key
editq:wake:<random>    stream of a process that reads: another job is to be read for, too
"""

import json
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from storage.breaker import CircuitBreaker
from storage.listening import KEPT_MESSAGES, Hub, Listener
from storage.meters import observed
from storage.plain import plain

T = TypeVar("T")

KEPT_S = 600  # twice as long as a step may take: so that the board stays as small as the work at hand
TIMEOUT_S = 0.4  # one try and one more on a fresh connection: under a second in all
BLOCK_S = 0.2  # of one reading for all listeners; a new one wakes it
_LOG = logging.getLogger(__name__)


def connect(url: str, *, timeout_s: float) -> Redis:
    """A client that gives up after timeout_s, and tries once more, at once, when its connection was stale."""
    return Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=min(timeout_s, TIMEOUT_S),
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 1),
        decode_responses=True,
        protocol=2,
        client_name="editq",
    )


class RedisProgressBoard:
    """Safe for threads and after a fork (redis-py keeps its connections per process)."""

    def __init__(self, url: str, *, prefix: str = "editq:") -> None:
        self._redis = connect(url, timeout_s=TIMEOUT_S)
        self._listener = connect(url, timeout_s=BLOCK_S + 2 * TIMEOUT_S)  # outlasts the block it asks for
        self._prefix = prefix
        self._breaker = CircuitBreaker()
        self._wakes, self._woken = self._key("wake", secrets.token_hex(8)), "0-0"
        self._hub = Hub(self._newest, self._read, self._wake)

    def publish(self, job_id: str, message: Mapping[str, Any]) -> None:
        self.publish_all({job_id: message})

    def publish_all(self, messages: Mapping[str, Mapping[str, Any]]) -> None:
        def send() -> None:
            with self._redis.pipeline(transaction=False) as pipeline:
                for job_id, message in messages.items():
                    key = self._key("progress", job_id)
                    fields: Any = {"json": json.dumps(plain(message), separators=(",", ":"))}
                    pipeline.xadd(key, fields, maxlen=KEPT_MESSAGES, approximate=True)
                    pipeline.expire(key, KEPT_S)
                pipeline.execute()

        self._try(send, None)

    def latest(self, job_id: str) -> dict[str, Any] | None:
        entries: Any = self._try(lambda: self._redis.xrevrange(self._key("progress", job_id), count=1), None)
        return _message(entries[0][1]) if entries else None

    def listen(self, job_id: str, *, timeout_s: float | None = None) -> Listener:
        return self._hub.listen(self._key("progress", job_id), timeout_s=timeout_s)

    def _newest(self, key: str) -> str | None:
        entries: Any = self._try(lambda: self._redis.xrevrange(key, count=1), None)
        return _id_of_last(entries)

    def _read(self, positions: Mapping[str, str]) -> list[tuple[str, str, dict[str, Any]]] | None:
        def read() -> list[tuple[str, str, dict[str, Any]]]:
            asked: Any = {**positions, self._wakes: self._woken}
            streams: Any = self._listener.xread(asked, block=int(1000 * BLOCK_S))
            told = dict(streams or ())
            if woken := told.pop(self._wakes, None):
                self._woken = str(woken[-1][0])
            return [
                (key, number, _message(fields)) for key, entries in told.items() for number, fields in entries
            ]

        return self._try(read, None)

    def _wake(self) -> None:
        def send() -> None:
            with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.xadd(self._wakes, {"json": "{}"}, maxlen=1, approximate=False)
                pipeline.expire(self._wakes, KEPT_S)
                pipeline.execute()

        self._try(send, None)

    def notice_cancel(self, job_id: str) -> None:
        self._try(lambda: self._redis.set(self._key("cancel", job_id), "1", ex=KEPT_S), None)

    def cancel_noticed(self, job_id: str) -> bool:
        return bool(self._try(lambda: self._redis.exists(self._key("cancel", job_id)), 0))

    def present(self, worker: Mapping[str, Any], *, ttl_s: float) -> None:
        name = str(worker["name"])
        text = json.dumps(plain(worker), separators=(",", ":"))

        def tell() -> None:
            with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.set(self._key("worker", name), text, px=max(1, int(ttl_s * 1000)))
                pipeline.sadd(self._key("workers"), name)
                pipeline.execute()

        self._try(tell, None)

    def absent(self, name: str) -> None:
        def tell() -> None:
            with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.delete(self._key("worker", name))
                pipeline.srem(self._key("workers"), name)
                pipeline.execute()

        self._try(tell, None)

    def workers(self) -> tuple[dict[str, Any], ...]:
        def ask() -> list[Any]:
            known: Any = self._redis.smembers(self._key("workers"))
            names = sorted(known)
            if not names:
                return []
            texts: Any = self._redis.mget([self._key("worker", name) for name in names])
            gone = [name for name, text in zip(names, texts, strict=True) if text is None]
            if gone:
                self._redis.srem(self._key("workers"), *gone)
            return [text for text in texts if text is not None]

        texts: list[Any] = self._try(ask, [])
        return tuple(json.loads(text) for text in texts)

    def check(self) -> bool:
        return bool(self._try(self._redis.ping, False))

    def close(self) -> None:
        self._redis.close()
        self._listener.close()

    def _key(self, *names: str) -> str:
        return self._prefix + ":".join(names)

    def _try(self, ask: Callable[[], T], instead: T) -> T:
        """What the server says, or `instead` while it is away."""
        if not self._breaker.allows():
            return instead
        try:
            with observed("board", "message"):
                answer = ask()
        except Exception as error:  # noqa: BLE001 - a rumour stops no job, and a client closed meanwhile raises anything
            self._breaker.failed()
            _LOG.warning("the progress board is dark: %s", type(error).__name__)
            return instead
        self._breaker.succeeded()
        return answer


def _id_of_last(entries: Any) -> str | None:
    if entries is None:
        return None
    return str(entries[-1][0]) if entries else "0-0"


def _message(fields: Mapping[str, str]) -> dict[str, Any]:
    message = json.loads(fields["json"])
    assert isinstance(message, dict)
    return message
