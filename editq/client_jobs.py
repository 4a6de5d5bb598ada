"""What the client asks of jobs: submitted, watched, ended, and looked at."""

import contextlib
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_sse import EventSource
from pydantic import BaseModel

from editq.calls import JSON, Calls
from editq.job_handle import JobHandle, ended
from editq.problems import check, plain_errors
from storage.errors import EditqError, NotFound
from storage.specs import JobOptions, JobSpec

_POLL_S = 20.0  # one long poll; the service may answer earlier
_SILENCE_S = 5.0  # of an event stream, after which the job is asked for
_AT_ONCE = 16  # jobs of a map that are under way together


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event of a job: `number` for a change of state that is kept, None for passing progress."""

    number: int | None
    type: str
    data: JSON


class JobCalls(Calls):
    """The part of Client that is about jobs. Every method may raise EditqError."""

    def submit(
        self,
        spec: JobSpec | Mapping[str, Any],
        *,
        options: JobOptions | None = None,
        idempotency_key: str | None = None,
    ) -> JobHandle:
        """The queued job, to be waited for, stopped, asked for its result. The spec may be plain JSON,
        {"kind": "sample", ...}; `options` replace its own.

        The key is made here unless one is given: the same key again, with the same spec, is the same job.
        """
        body = dict(spec) if isinstance(spec, Mapping) else _plain(spec)
        if options is not None:
            body["options"] = _plain(options)
        return self._job(self._once("/v1/jobs", idempotency_key, json=body))

    def map(
        self,
        specs: Iterable[JobSpec | Mapping[str, Any]],
        *,
        options: JobOptions | None = None,
        at_once: int = _AT_ONCE,
    ) -> Iterator[JobHandle]:
        """A job for each spec, `at_once` under way together; each once it has ended, however it ended, in the
        order of the specs. Left before its end, it cancels those that it still waited for."""
        waiting: deque[JobHandle] = deque()
        try:
            for spec in specs:
                if len(waiting) == at_once:
                    yield waiting.popleft().wait()
                waiting.append(self.submit(spec, options=options))
            while waiting:
                yield waiting.popleft().wait()
        finally:
            for job in waiting:
                with contextlib.suppress(EditqError):  # it may have ended meanwhile
                    job.cancel()

    def jobs(
        self, *, status: str | None = None, kind: str | None = None, limit: int | None = None
    ) -> Iterator[JSON]:
        """Newest first; all of them unless there is a limit. Pages are fetched as they are needed."""
        return self._pages("/v1/jobs", {"status": status, "kind": kind}, limit)

    def get(self, job_id: str, *, wait_s: float = 0.0) -> JobHandle:
        """The job as it is; with `wait_s`, as soon as it has ended or so much time has passed."""
        params = {"wait": wait_s} if wait_s else {}
        timeout = httpx.Timeout(self._http.timeout.read, read=(self._http.timeout.read or 0.0) + wait_s)
        return self._job(self._json("GET", f"/v1/jobs/{job_id}", params=params, timeout=timeout))

    def wait(self, job_id: str, *, timeout_s: float | None = None) -> JobHandle:
        """The job once it has ended, however it ended. Raises TimeoutError, and Unavailable once the service
        has been away for `retry_s`."""
        deadline = time.monotonic() + (math.inf if timeout_s is None else timeout_s)

        def look() -> JobHandle:
            left_s = deadline - time.monotonic()
            return self.get(job_id, wait_s=round(max(0.0, min(_POLL_S, left_s)), 3))

        while True:
            left_s = deadline - time.monotonic()
            job = self._patiently(look, at_most_s=left_s)
            if ended(job):
                return job
            if left_s <= 0:
                raise TimeoutError(f"job {job_id} is still {job['status']} after {timeout_s} s")

    def cancel(self, job_id: str) -> JobHandle:
        return self._job(self._json("POST", f"/v1/jobs/{job_id}/cancel"))

    def stop(self, job_id: str) -> JobHandle:
        """End an optimisation early, with its best so far."""
        return self._job(self._json("POST", f"/v1/jobs/{job_id}/stop"))

    def retry(self, job_id: str, *, idempotency_key: str | None = None) -> JobHandle:
        """The new job that does an ended one again."""
        return self._job(self._once(f"/v1/jobs/{job_id}/retry", idempotency_key))

    def delete_job(self, job_id: str) -> None:
        """Delete an ended job and its outputs; vectors and models that it left stay."""
        self._request("DELETE", f"/v1/jobs/{job_id}")

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

        Listens to the event stream, and polls where there is none or where it is silent. Raises Unavailable
        once the service has been away for `retry_s`.
        """
        job: JSON = self.get(job_id)
        seen = 0
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
            job = job if ended(job) else self._patiently(lambda: self.get(job_id))
        yield job

    def _job(self, shown: Mapping[str, Any]) -> JobHandle:
        return JobHandle(self, shown)


def _plain(asked: BaseModel) -> JSON:
    return asked.model_dump(mode="json", exclude_none=True)
