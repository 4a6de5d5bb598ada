"""Opening a stream of server-sent events: one place of the process's, given back however the stream ends."""

import logging
import time
from collections.abc import Callable, Iterator

from flask import Response, request

from api.errors import TooManyStreams
from api.service import service
from api.slots import departure
from storage.errors import EditqError

RETRY_MS = 2000
COMMENT_EVERY_S = 15.0
log = logging.getLogger("editq.api")


def open_stream(what: str, write: Callable[[Callable[[], bool]], Iterator[str]]) -> Response:
    """`write` is told how to ask whether the reader has left. `what`: what can be polled instead.

    Raises TooManyStreams when all places are taken.
    """
    answer = Response(mimetype="text/event-stream")
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Accel-Buffering"] = "no"
    if request.method == "HEAD":
        return answer
    slot = service().slots.take()
    if slot is None:
        raise TooManyStreams(
            f"As many streams are open as this process allows; poll the {what}, or try later."
        )
    answer.call_on_close(slot.release)  # also where the first byte is never asked for
    answer.response = _until_away(write(departure(request.environ)))
    return answer


def _until_away(pieces: Iterator[str]) -> Iterator[str]:
    """A store that goes away ends the stream; the client comes back with Last-Event-ID."""
    try:
        yield f"retry: {RETRY_MS}\n"  # no blank line: on its own it would be an empty event to some clients
        yield from pieces
    except EditqError as error:
        log.warning("an event stream ended early: %s", error.detail)


class Due:
    """Something that is to be done every so often."""

    def __init__(self, every_s: float, *, now: bool = True) -> None:
        self._every_s = every_s
        self._at = time.monotonic() + (0 if now else every_s)

    def left_s(self) -> float:
        return max(0.0, self._at - time.monotonic())

    def due(self) -> bool:
        return self.left_s() == 0

    def over(self) -> None:
        self._at = time.monotonic() + self._every_s
