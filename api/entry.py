"""The way into the application: each request takes a place first, and who finds none is turned away here.

Turning away must cost next to nothing, or a flood of it would be an overload too: it happens before Flask,
with an answer made once, and a line of the log tells of all within a second.
"""

import logging
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Response, request

from api.crowd import Crowd
from api.meters import method_of
from storage.meters import meters

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

PLACE = "editq.place"
PROBES = frozenset({"/livez", "/readyz"})  # who asks whether the service lives must not hear that it is busy
TOLD_EVERY_S = 1.0
log = logging.getLogger("editq.access")


class Entry:
    """WSGI's middleware around an application. `crowd` may be set anew.

    refusal  what those are answered who find no place
    """

    def __init__(self, inside: "WSGIApplication", crowd: Crowd, refusal: Response) -> None:
        self.crowd = crowd
        self._inside = inside
        self._status, self._head = refusal.status, refusal.headers.to_wsgi_list()
        self._body = [refusal.get_data()]
        self._lock = threading.Lock()
        self._turned_away, self._told_at = 0, float("-inf")

    def __call__(self, environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"] in PROBES:
            return self._inside(environ, start_response)
        place = self.crowd.enter()
        if place is None:
            return self._turn_away(environ["REQUEST_METHOD"], start_response)
        environ[PLACE] = lambda: self.crowd.leave(place)
        try:
            return self._inside(environ, start_response)
        finally:
            self.crowd.leave(place)

    def _turn_away(self, method: str, start_response: "StartResponse") -> Iterable[bytes]:
        meters().http_requests.labels("refused", method_of(method), self._status[:3]).inc()
        now = time.monotonic()
        with self._lock:
            self._turned_away += 1
            count = self._turned_away if now >= self._told_at + TOLD_EVERY_S else 0
            if count:
                self._turned_away, self._told_at = 0, now
        if count:
            log.warning("too busy: turned away", extra={"requests": count})
        start_response(self._status, list(self._head))
        return [] if method == "HEAD" else self._body


def leave_place() -> None:
    """What follows of this request only waits, and keeps nobody out."""
    if PLACE in request.environ:
        request.environ[PLACE]()
