"""Talks to an editq service over HTTP.

    with Client("http://127.0.0.1:8000") as client:
        image = client.upload_image(Path("car.jpg"))
        job = client.submit(InvertSpec(image=image["id"]))
        job = client.wait(job["id"])

Answers are the API's JSON as it is. A problem+json answer raises the error of its code (storage/errors.py),
and a service that does not answer raises Unavailable.
"""

import contextlib
import ipaddress
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx
from httpx_sse import EventSource, SSEError

from storage.errors import EditqError, NotFound, Unavailable
from storage.specs import EditSpec, InvertSpec, SampleSpec

JSON = dict[str, Any]
_POLL_S = 20.0  # one long poll; the service may answer earlier
_SILENCE_S = 5.0  # of an event stream, after which the job is asked for


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event of a job: `number` for a change of state that is kept, None for passing progress."""

    number: int | None
    type: str
    data: JSON


class Client:
    """Every method may raise EditqError. Safe to share between threads."""

    def __init__(
        self,
        address: str = "http://127.0.0.1:8000",
        *,
        timeout_s: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.address = address.rstrip("/")
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

    def submit(self, spec: SampleSpec | InvertSpec | EditSpec) -> JSON:
        return self._json("POST", "/v1/jobs", json=spec.model_dump(mode="json", exclude_none=True))

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

    def output(self, job_id: str, name: str) -> bytes:
        return self._request("GET", f"/v1/jobs/{job_id}/outputs/{name}").content

    def events(self, job_id: str, *, after: int = 0, silence_s: float = 30.0) -> Iterator[ServerEvent]:
        """The job's events from the one after `after` on, until it has ended or the service ends the stream.

        Raises Unavailable when nothing, not even a comment, came for `silence_s`.
        """
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        timeout = httpx.Timeout(self._http.timeout.read, read=silence_s)
        with _plain_errors():
            stream = self._http.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers, timeout=timeout)
            with stream as answer:
                _check(answer)
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
                        yield {
                            **job,
                            "status": "running",
                            "progress": {**(job.get("progress") or {}), **event.data},
                        }
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
        with _plain_errors():
            answer = self._http.request(method, path, **arguments)
        _check(answer)
        return answer


def ended(job: Mapping[str, Any]) -> bool:
    return job["status"] in ("succeeded", "failed", "canceled")


def error_for(code: str, detail: str, *, status: int, field: str | None, expected: str | None) -> EditqError:
    """The error of this code; one that this version does not know is an EditqError that keeps the code."""
    kinds = {kind.code: kind for kind in _descendants(EditqError)}
    kind: type[EditqError] = kinds.get(code) or type(
        "UnknownError", (EditqError,), {"code": code, "status": status}
    )
    return kind(detail, field=field, expected=expected)


def _descendants(kind: type[EditqError]) -> Iterator[type[EditqError]]:
    for child in kind.__subclasses__():
        if child.__module__ == EditqError.__module__:
            yield child
        yield from _descendants(child)


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    answer.read()
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict) or "code" not in problem:
        problem = {"code": "unavailable", "detail": f"{answer.url} answered {answer.status_code}"}
    raise error_for(
        str(problem["code"]),
        str(problem.get("detail", "")),
        status=answer.status_code,
        field=problem.get("field"),
        expected=problem.get("expected"),
    )


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, SSEError) as error:
        raise Unavailable(f"the service does not answer: {error or type(error).__name__}") from error


def _is_loopback(address: str) -> bool:
    host = httpx.URL(address).host
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
