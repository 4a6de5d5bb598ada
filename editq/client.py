"""Talks to an editq service over HTTP.

    with Client("http://127.0.0.1:8000") as client:
        image = client.upload_image(Path("car.jpg"))
        job = client.submit(InvertSpec(image=image["id"]))
        job = client.wait(job["id"])

Answers are the API's JSON as it is. A problem+json answer raises the error of its code (storage/errors.py),
and a service that does not answer raises Unavailable. A submit or retry whose answer was lost is sent again
under the same Idempotency-Key, so that it never makes two jobs.
"""

import contextlib
import ipaddress
import random
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx
from httpx_sse import EventSource
from pydantic import BaseModel

from editq.client_batches import BatchCalls
from editq.client_folder import FolderCalls
from editq.client_pictures import PictureCalls
from editq.client_vectors import VectorCalls
from editq.problems import check, plain_errors
from storage.errors import EditqError, NotFound, Unavailable
from storage.specs import JobOptions, JobSpec

JSON = dict[str, Any]
_PAGE = 100  # items that a list gives at once, at most
_POLL_S = 20.0  # one long poll; the service may answer earlier
_SILENCE_S = 5.0  # of an event stream, after which the job is asked for
_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 5.0  # between two tries of one request


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event of a job: `number` for a change of state that is kept, None for passing progress."""

    number: int | None
    type: str
    data: JSON


class Client(VectorCalls, FolderCalls, BatchCalls, PictureCalls):
    """Every method may raise EditqError. Safe to share between threads."""

    def __init__(
        self,
        address: str = "http://127.0.0.1:8000",
        *,
        timeout_s: float = 30.0,
        retry_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`retry_s`: for how long a submit is tried again where the service is away or too busy."""
        self.address = address.rstrip("/")
        self._retry_s = retry_s
        self._http = httpx.Client(
            base_url=self.address,
            timeout=timeout_s,
            transport=transport,
            trust_env=not _is_loopback(self.address),  # a proxy cannot reach this machine's loopback
            headers={"Accept": "application/json"},
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
        return self._json("POST", "/v1/images", files={"file": (name, data)}, data={"role": role})

    def models(self) -> list[JSON]:
        return list(self._json("GET", "/v1/models").get("items", []))

    def model(self, name: str) -> JSON:
        return self._json("GET", f"/v1/models/{name}")

    def submit(
        self,
        spec: JobSpec | Mapping[str, Any],
        *,
        options: JobOptions | None = None,
        idempotency_key: str | None = None,
    ) -> JSON:
        """The queued job. The spec may be plain JSON, {"kind": "sample", ...}; `options` replace its own.

        The key is made here unless one is given: the same key again, with the same spec, is the same job.
        """
        body = dict(spec) if isinstance(spec, Mapping) else _plain(spec)
        if options is not None:
            body["options"] = _plain(options)
        return self._once("/v1/jobs", idempotency_key, json=body)

    def jobs(
        self, *, status: str | None = None, kind: str | None = None, limit: int | None = None
    ) -> Iterator[JSON]:
        """Newest first; all of them unless there is a limit. Pages are fetched as they are needed."""
        return self._pages("/v1/jobs", {"status": status, "kind": kind}, limit)

    def get(self, job_id: str, *, wait_s: float = 0.0) -> JSON:
        """The job as it is; with `wait_s`, as soon as it has ended or so much time has passed."""
        params = {"wait": wait_s} if wait_s else {}
        timeout = httpx.Timeout(self._http.timeout.read, read=(self._http.timeout.read or 0.0) + wait_s)
        return self._json("GET", f"/v1/jobs/{job_id}", params=params, timeout=timeout)

    def wait(self, job_id: str, *, timeout_s: float | None = None) -> JSON:
        """The job once it has ended, however it ended. Raises TimeoutError."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left = _POLL_S if deadline is None else deadline - time.monotonic()
            job = self.get(job_id, wait_s=round(max(0.0, min(_POLL_S, left)), 3))
            if ended(job):
                return job
            if left <= 0:
                raise TimeoutError(f"job {job_id} is still {job['status']} after {timeout_s} s")

    def cancel(self, job_id: str) -> JSON:
        return self._json("POST", f"/v1/jobs/{job_id}/cancel")

    def stop(self, job_id: str) -> JSON:
        """End an optimisation early, with its best so far."""
        return self._json("POST", f"/v1/jobs/{job_id}/stop")

    def retry(self, job_id: str, *, idempotency_key: str | None = None) -> JSON:
        """The new job that does an ended one again."""
        return self._once(f"/v1/jobs/{job_id}/retry", idempotency_key)

    def set_priority(self, job_id: str, priority: str) -> JSON:
        return self._json("PATCH", f"/v1/jobs/{job_id}", json={"priority": priority})

    def explain(self, job_id: str) -> JSON:
        """Why it waits, what it is doing, or how it ended: `text`, and `reasons` one by one."""
        return self._json("GET", f"/v1/jobs/{job_id}/explain")

    def history(self, job_id: str, *, after: int = 0) -> list[JSON]:
        """Its changes of state, by number."""
        return list(self._json("GET", f"/v1/jobs/{job_id}/history", params={"after": after})["items"])

    def deliveries(self, job_id: str) -> list[JSON]:
        """The webhook calls that its events asked for."""
        return list(self._json("GET", f"/v1/jobs/{job_id}/deliveries")["items"])

    def resend(self, job_id: str, delivery_id: str) -> JSON:
        return self._json("POST", f"/v1/jobs/{job_id}/deliveries/{delivery_id}/resend")

    def queues(self) -> list[JSON]:
        return list(self._json("GET", "/v1/queues")["items"])

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

    def output(self, job_id: str, name: str) -> bytes:
        return self._request("GET", f"/v1/jobs/{job_id}/outputs/{name}").content

    def events(self, job_id: str, *, after: int = 0, silence_s: float = 30.0) -> Iterator[ServerEvent]:
        """The job's events from the one after `after` on, until it has ended or the service ends the stream.

        Raises Unavailable when nothing, not even a comment, came for `silence_s`.
        """
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        timeout = httpx.Timeout(self._http.timeout.read, read=silence_s)
        with plain_errors():
            stream = self._http.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers, timeout=timeout)
            with stream as answer:
                check(answer)
                if answer.status_code == httpx.codes.NO_CONTENT:  # ended, and nothing new to tell
                    return
                for event in EventSource(answer).iter_sse():
                    if event.data:  # by the data: an SSE id, once sent, stands for all that follow it
                        data = event.json()
                        yield ServerEvent(data.get("number"), event.event, data)

    def follow(self, job_id: str) -> Iterator[JSON]:
        """The job again and again, its `progress` kept fresh, until it has ended; that is the last item.

        Listens to the event stream, and polls where there is none or where it is silent.
        """
        job, seen = self.get(job_id), 0
        while not ended(job):
            yield job
            try:
                for event in self.events(job_id, after=seen, silence_s=_SILENCE_S):
                    seen = max(seen, event.number or 0)
                    if event.type in ("progress", "phase"):
                        known = job.get("progress") or {}
                        job = {**job, "status": "running", "progress": {**known, **event.data}}
                        yield job
                    else:
                        job = self.get(job_id)
                        if ended(job):
                            break
                        yield job
            except NotFound:
                raise
            except EditqError:
                time.sleep(0.5)
            job = self.get(job_id) if not ended(job) else job
        yield job

    def _once(self, path: str, key: str | None, **arguments: Any) -> JSON:
        """Send a request that makes a job until it is answered. The key lets the service do it once."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        deadline, pause_s = time.monotonic() + self._retry_s, _PAUSE_S
        while True:
            try:
                return self._json("POST", path, headers=headers, **arguments)
            except Unavailable as error:
                wait_s = random.uniform(pause_s / 2, pause_s)
                if error.status != Unavailable.status or time.monotonic() + wait_s > deadline:
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
        with plain_errors():
            answer = self._http.request(method, path, **arguments)
        check(answer)
        return answer


def _plain(asked: BaseModel) -> JSON:
    return asked.model_dump(mode="json", exclude_none=True)


def ended(job: Mapping[str, Any]) -> bool:
    return job["status"] in ("succeeded", "failed", "canceled")


def _is_loopback(address: str) -> bool:
    host = httpx.URL(address).host
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
