"""A batch as it goes on (SSE): its counts whenever they change, once a second at most, until it has ended."""

from collections.abc import Callable, Iterator

from flask import Flask, Response

from api.batch_view import batch_view
from api.service import Service, service
from api.streams import COMMENT_EVERY_S, Due, open_stream
from storage.batch_records import Batch

EVERY_S = 1.0
TOLD = {"spec", "files", "result", "previews"}  # left out: who wants them asks for the batch


def batch_stream(batch: Batch, app: Flask) -> Response:
    """Raises TooManyStreams when all places are taken."""
    here = service()
    return open_stream("batch", lambda left: _stream(here, batch, app, left))


def _stream(service: Service, batch: Batch, app: Flask, left: Callable[[], bool]) -> Iterator[str]:
    shown, comment = "", Due(COMMENT_EVERY_S, now=False)
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
