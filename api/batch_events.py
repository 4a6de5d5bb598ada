"""A batch as it goes on (SSE): its counts whenever they change, once a second at most, until it has ended."""

import logging
from collections.abc import Callable, Iterator

from flask import Flask, Response, request

from api.batch_view import batch_view
from api.errors import TooManyStreams
from api.events import COMMENT_EVERY_S, RETRY_MS, Due
from api.service import Service, service
from api.slots import departure
from storage.batch_records import Batch
from storage.errors import EditqError

EVERY_S = 1.0
TOLD = {"spec", "files", "result", "previews"}  # left out: who wants them asks for the batch
log = logging.getLogger("editq.api")


def batch_stream(batch: Batch, app: Flask) -> Response:
    """Raises TooManyStreams when all places are taken."""
    answer = Response(mimetype="text/event-stream")
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Accel-Buffering"] = "no"
    if request.method == "HEAD":
        return answer
    slot = service().slots.take()
    if slot is None:
        raise TooManyStreams("As many streams are open as this process allows; poll the batch, or try later.")
    answer.call_on_close(slot.release)
    answer.response = _until_away(service(), batch, app, departure(request.environ))
    return answer


def _until_away(service: Service, batch: Batch, app: Flask, left: Callable[[], bool]) -> Iterator[str]:
    try:
        yield from _stream(service, batch, app, left)
    except EditqError as error:
        log.warning("an event stream ended early: %s", error.detail)


def _stream(service: Service, batch: Batch, app: Flask, left: Callable[[], bool]) -> Iterator[str]:
    shown, comment = "", Due(COMMENT_EVERY_S, now=False)
    yield f"retry: {RETRY_MS}\n"
    with service.stores.progress.listen(batch.id) as pause:
        while True:
            batch = service.stores.batches.get(batch.tenant_id, batch.id)
            with app.app_context():
                told = batch_view(batch).model_dump_json(exclude=TOLD)
            if told != shown:
                shown = told
                comment.over()
                yield f"event: {'ended' if batch.status.ended else 'batch'}\ndata: {told}\n\n"
            if batch.status.ended or service.stopping() or left():
                return
            if comment.due():
                comment.over()
                yield ": still here\n"
            pause.hear(EVERY_S)
