"""A job's events as they happen (SSE).

Changes of state come from rows: numbered, replayed from Last-Event-ID, never lost. Progress comes from the
board, without an id, and may be missing. A stream ends after the event that ends its job.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from flask import Response, request

from api.errors import TooManyStreams
from api.job_view import latest_progress, of_this_attempt
from api.service import Service, service
from api.slots import departure
from storage.errors import EditqError
from storage.records import Event, Job, Status
from storage.stores import Stores

RETRY_MS = 2000
ROWS_EVERY_S = 0.5
COMMENT_EVERY_S = 15.0
log = logging.getLogger("editq.api")


def event_stream(tenant_id: str, job_id: str, *, after: int) -> Response:
    """Raises JobNotFound; TooManyStreams when all places are taken."""
    job = service().stores.jobs.get(tenant_id, job_id)
    if job.status.ended and not service().stores.jobs.events(tenant_id, job_id, after=after):
        return Response(status=204)
    answer = Response(mimetype="text/event-stream")
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Accel-Buffering"] = "no"
    if request.method == "HEAD":
        return answer
    slot = service().slots.take()
    if slot is None:
        raise TooManyStreams("As many streams are open as this process allows; poll the job, or try later.")
    answer.call_on_close(slot.release)  # also where the first byte is never asked for
    answer.response = _until_away(service(), job, after, departure(request.environ))
    return answer


def _until_away(service: Service, job: Job, after: int, left: Callable[[], bool]) -> Iterator[str]:
    """A store that goes away ends the stream; the client comes back with Last-Event-ID."""
    try:
        yield from _stream(service, job, after, left)
    except EditqError as error:
        log.warning("an event stream ended early: %s", error.detail)


def _stream(service: Service, job: Job, last: int, left: Callable[[], bool]) -> Iterator[str]:
    stores, shown, spoke = service.stores, None, time.monotonic()
    yield f"retry: {RETRY_MS}\n"  # no blank line: on its own it would be an empty event to some clients
    while True:
        job = stores.jobs.get(job.tenant_id, job.id)  # before its events: an end seen here has its event
        for event in stores.jobs.events(job.tenant_id, job.id, after=last):
            last, spoke = event.number, time.monotonic()
            yield _state(event)
        if job.status.ended or service.stopping() or left():
            return
        for message in _news(stores, job):
            if message != shown:
                shown, spoke = message, time.monotonic()
                yield _message(message)
        if time.monotonic() - spoke >= COMMENT_EVERY_S:
            spoke = time.monotonic()
            yield ": still here\n"


def _news(stores: Stores, job: Job) -> Iterator[dict[str, Any]]:
    """What the board hears of this attempt until it is time to look at the rows again."""
    until = time.monotonic() + ROWS_EVERY_S
    if job.status is Status.RUNNING:
        heard = stores.progress.listen(job.id, timeout_s=ROWS_EVERY_S)  # before latest: nothing falls between
        latest = latest_progress(job, stores.progress)
        if latest is not None:
            yield latest
        for message in heard:
            if of_this_attempt(job, message) is not None:
                yield message
            if time.monotonic() >= until:
                return
    time.sleep(max(0.0, until - time.monotonic()))


def _state(event: Event) -> str:
    data = {**event.data, "number": event.number, "type": event.type, "created_at": event.created_at}
    return f"id: {event.number}\nevent: {event.type}\ndata: {json.dumps(data)}\n\n"


def _message(message: dict[str, Any]) -> str:
    return f"event: {message.get('type', 'progress')}\ndata: {json.dumps(message)}\n\n"
