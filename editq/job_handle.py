"""A job in the caller's hands: what the service last showed of it, and what can be asked of it."""

import html
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from editq.job_result import JobResult, is_picture
from editq.problems import error_for
from storage.errors import EditqError, JobCanceled, JobFailed

if TYPE_CHECKING:
    from editq.client_jobs import JobCalls, ServerEvent

_SHOWN_PICTURES = 6
_PICTURE_PX = 160


class JobHandle(dict[str, Any]):
    """The job as the API's JSON, as new as the last call. Every method may raise EditqError.

    A notebook shows it with its pictures.
    """

    def __init__(self, calls: "JobCalls", shown: Mapping[str, Any]) -> None:
        super().__init__(shown)
        self._calls = calls

    @property
    def id(self) -> str:
        return str(self["id"])

    @property
    def ended(self) -> bool:
        return ended(self)

    def refresh(self) -> Self:
        return self._now(self._calls.get(self.id))

    def wait(self, *, timeout_s: float | None = None) -> Self:
        """This job once it has ended, however it ended. Raises TimeoutError."""
        return self if self.ended else self._now(self._calls.wait(self.id, timeout_s=timeout_s))

    def events(self, *, after: int = 0) -> Iterator["ServerEvent"]:
        """Its events from the one after `after` on, until it has ended or the service ends the stream."""
        return self._calls.events(self.id, after=after)

    def cancel(self) -> Self:
        return self._now(self._calls.cancel(self.id))

    def stop(self) -> Self:
        """End an optimisation early, with its best so far."""
        return self._now(self._calls.stop(self.id))

    def retry(self) -> "JobHandle":
        """The new job that does this ended one again."""
        return self._calls.retry(self.id)

    def result(self, *, timeout_s: float | None = None) -> JobResult:
        """What it made, once it has succeeded. Raises the error it failed with, JobCanceled, TimeoutError."""
        self.wait(timeout_s=timeout_s)
        if self["status"] == "canceled":
            raise JobCanceled(f"The {self['kind']} job {self.id} was canceled.")
        if self["status"] == "failed":
            raise _error_of(self["error"] or {})
        return JobResult(self._calls, self)

    def _now(self, shown: Mapping[str, Any]) -> Self:
        self.clear()
        self.update(shown)
        return self

    def _repr_html_(self) -> str:
        error = (self.get("error") or {}).get("detail", "")
        words = " · ".join(filter(None, (self["kind"], self["status"], _seconds(self), error)))
        return f"<div><p><code>{self.id}</code> {html.escape(words)}</p>{''.join(self._figures())}</div>"

    def _figures(self) -> Iterator[str]:
        for name in [name for name, told in self["outputs"].items() if is_picture(told)][:_SHOWN_PICTURES]:
            try:
                data = b64encode(self._calls.output(self.id, name)).decode()
            except EditqError:
                continue  # expired, or the service is away: what is known is shown all the same
            label = html.escape(name)
            picture = f'<img alt="{label}" width="{_PICTURE_PX}" src="data:image/png;base64,{data}">'
            yield f'<figure style="display:inline-block;margin:4px">{picture}<br>{label}</figure>'


def ended(job: Mapping[str, Any]) -> bool:
    return job["status"] in ("succeeded", "failed", "canceled")


def _seconds(job: Mapping[str, Any]) -> str:
    seconds = (job.get("result") or {}).get("seconds")
    return f"{seconds:.1f} s" if isinstance(seconds, int | float) else ""


def _error_of(error: Mapping[str, Any]) -> EditqError:
    return error_for(
        str(error.get("code", JobFailed.code)),
        str(error.get("detail", "The job failed.")),
        status=JobFailed.status,
        field=error.get("field"),
        expected=error.get("expected"),
    )
