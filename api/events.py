"""A job's events as they happen (SSE).

Changes of state come from rows: numbered, replayed from Last-Event-ID, never lost. Progress comes from the
board, without an id, and may be missing; one thread of the process listens there for all its streams. A
stream ends after the event that ends its job.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from flask import Response

from api.job_view import of_this_attempt
from api.service import Service, service
from api.streams import COMMENT_EVERY_S, Due, open_stream
from storage.records import Event, Job, Status

ROWS_EVERY_S = 0.5
JOB_EVERY_S = 10.0  # for who named a Last-Event-ID that its job will never reach


def event_stream(tenant_id: str, job_id: str, *, after: int) -> Response:
    """Raises JobNotFound; TooManyStreams when all places are taken."""
    job = service().stores.jobs.get(tenant_id, job_id)
    if job.status.ended and not service().stores.jobs.events(tenant_id, job_id, after=after):
        return Response(status=204)
    here = service()
    return open_stream("job", lambda left: _stream(here, job, after, left))


def _stream(service: Service, job: Job, last: int, left: Callable[[], bool]) -> Iterator[str]:
    jobs, board = service.stores.jobs, service.stores.progress
    rows, whole, comment = Due(ROWS_EVERY_S), Due(JOB_EVERY_S, now=False), Due(COMMENT_EVERY_S, now=False)
    with board.listen(job.id) as listener:
        message, shown = board.latest(job.id), None  # after listen: nothing falls between
        while True:
            if rows.due() or (message is not None and hurries(message)):
                rows.over()
                if whole.due():
                    whole.over()
                    job = jobs.get(job.tenant_id, job.id)  # before its events: an end has its event
                for event in jobs.events(job.tenant_id, job.id, after=last):
                    job, last = _after(job, event), event.number
                    comment.over()
                    yield _state(event)
                if job.status.ended or service.stopping() or left():
                    return
            if message not in (None, shown) and of_this_attempt(job, message):
                shown = message
                comment.over()
                yield _message(message)
            if comment.due():
                comment.over()
                yield ": still here\n"
            message = listener.hear(rows.left_s())


def hurries(message: dict[str, Any]) -> bool:
    """A new phase often comes with a new state: time to look at the rows."""
    return bool(message.get("type") != "progress")


def _after(job: Job, event: Event) -> Job:
    """What is known of the job once this event is."""
    if event.type not in list(Status):
        return job
    return replace(job, status=Status(event.type), attempt=event.data.get("attempt", job.attempt))


def told(event: Event) -> dict[str, Any]:
    """An event as readers get it, by stream or by polling."""
    at = datetime.fromtimestamp(event.created_at, UTC).isoformat().replace("+00:00", "Z")
    return {**event.data, "number": event.number, "type": event.type, "created_at": at}


def _state(event: Event) -> str:
    return f"id: {event.number}\nevent: {event.type}\ndata: {json.dumps(told(event))}\n\n"


def _message(message: dict[str, Any]) -> str:
    return f"event: {message.get('type', 'progress')}\ndata: {json.dumps(message)}\n\n"
