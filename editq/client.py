"""Talks to an editq service over HTTP.

    with Client("http://127.0.0.1:8000") as client:
        image = client.upload_image(Path("car.jpg"))
        job = client.submit(InvertSpec(image=image["id"]))
        job.result().picture("inverted.png").show()

Answers are the API's JSON as it is. A problem+json answer raises the error of its code (storage/errors.py),
and a service that does not answer raises Unavailable. A submit or retry whose answer was lost is sent again
under the same Idempotency-Key, so that it never makes two jobs; who waits for a job waits on while the
service is away; a read that was turned away (too many at once) is asked again.
"""

import contextlib
import ipaddress
import math
import os
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from editq.calls import JSON, T
from editq.client_batches import BatchCalls
from editq.client_folder import FolderCalls
from editq.client_jobs import JobCalls
from editq.client_keys import KeyCalls
from editq.client_pictures import PictureCalls
from editq.client_vectors import VectorCalls
from editq.problems import check, plain_errors
from storage.errors import EditqError, TooBusy, TooManyRequests, Unavailable

_PAGE = 100  # items that a list gives at once, at most
_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 5.0  # between two tries of one request


class Client(JobCalls, VectorCalls, FolderCalls, BatchCalls, PictureCalls, KeyCalls):
    """Every method may raise EditqError. Safe to share between threads."""

    def __init__(
        self,
        address: str = "http://127.0.0.1:8000",
        *,
        timeout_s: float = 30.0,
        retry_s: float = 30.0,
        key: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`key`: the API key, by default EDITQ_KEY of the environment; services on loopback may want none.
        `retry_s`: for how long a submit, an upload or a wait is tried again where the service is away or too
        busy, and a read where it is too busy."""
        self.address = address.rstrip("/")
        self._retry_s = retry_s
        self._http = httpx.Client(
            base_url=self.address,
            timeout=timeout_s,
            transport=transport,
            trust_env=not _is_loopback(self.address),  # a proxy cannot reach this machine's loopback
            headers={"Accept": "application/json", **bearer(key or os.environ.get("EDITQ_KEY"))},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def upload_image(
        self,
        picture: Path | bytes,
        *,
        role: Literal["picture", "mask"] = "picture",
        filename: str | None = None,
    ) -> JSON:
        data = picture.read_bytes() if isinstance(picture, Path) else picture
        name = filename or (picture.name if isinstance(picture, Path) else role)
        return self._once("/v1/images", None, files={"file": (name, data)}, data={"role": role})

    def models(self) -> list[JSON]:
        return list(self._json("GET", "/v1/models").get("items", []))

    def model(self, name: str) -> JSON:
        return self._json("GET", f"/v1/models/{name}")

    def delete_model(self, name: str) -> None:
        """Delete a model of your own, with your vectors that fit it."""
        self._request("DELETE", f"/v1/models/{name}")

    def queues(self) -> list[JSON]:
        return list(self._json("GET", "/v1/queues")["items"])

    def usage(self, *, days: int = 30) -> JSON:
        return self._json("GET", "/v1/usage", params={"days": days})

    def pause(self, queue: str) -> JSON:
        """Have nothing taken from a queue; what runs goes on."""
        return self._json("POST", f"/v1/queues/{queue}/pause")

    def resume(self, queue: str) -> JSON:
        return self._json("POST", f"/v1/queues/{queue}/resume")

    def workers(self) -> list[JSON]:
        return list(self._json("GET", "/v1/workers")["items"])

    def drain(self, worker: str) -> JSON:
        """Have a worker put back what it runs, and take nothing more."""
        return self._json("POST", f"/v1/workers/{worker}/drain")

    def undrain(self, worker: str) -> JSON:
        return self._json("DELETE", f"/v1/workers/{worker}/drain")

    def _once(self, path: str, key: str | None, **arguments: Any) -> JSON:
        """Send a request that makes a job until it is answered. The key lets the service do it once."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        send = lambda: self._json("POST", path, headers=headers, **arguments)  # noqa: E731
        return self._again_and_again(send, Unavailable, TooManyRequests)

    def _patiently(self, call: Callable[[], T], at_most_s: float = math.inf) -> T:
        return self._again_and_again(call, Unavailable, at_most_s=at_most_s)

    def _again_and_again(
        self, call: Callable[[], T], *errors: type[EditqError], at_most_s: float = math.inf
    ) -> T:
        """What the call returns, tried again for `retry_s` after one of these errors."""
        deadline, pause_s = time.monotonic() + min(self._retry_s, at_most_s), _PAUSE_S
        while True:
            try:
                return call()
            except errors as error:
                wait_s = random.uniform(pause_s / 2, pause_s)
                if error.status not in (429, 503) or time.monotonic() + wait_s > deadline:
                    raise
            time.sleep(wait_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _pages(self, path: str, asked: Mapping[str, Any], limit: int | None) -> Iterator[JSON]:
        """The items of a list, page after page."""
        params = {name: value for name, value in asked.items() if value is not None}
        params["limit"], found = min(limit or _PAGE, _PAGE), 0
        while True:
            page = self._json("GET", path, params=params)
            for item in page["items"]:
                if found == limit:
                    return
                found += 1
                yield item
            if page["next_cursor"] is None or found == limit:
                return
            params["cursor"] = page["next_cursor"]

    def _json(self, method: str, path: str, **arguments: Any) -> JSON:
        answer = self._request(method, path, **arguments)
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Unavailable(f"{method} {answer.url} answered something that is no editq service's")
        return body

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """A read that was turned away, and so not begun, is asked again."""

        def ask() -> httpx.Response:
            with plain_errors():
                answer = self._http.request(method, path, **arguments)
            check(answer)
            return answer

        return self._again_and_again(ask, TooBusy, TooManyRequests) if method == "GET" else ask()


def bearer(key: str | None) -> dict[str, str]:
    """The header that carries a key."""
    return {"Authorization": f"Bearer {key.strip()}"} if key else {}


def _is_loopback(address: str) -> bool:
    host = httpx.URL(address).host
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
