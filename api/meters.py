"""Requests, counted by route: the pattern, never the path that somebody asked for."""

import time

from flask import Flask, Response, g, request

from storage.meters import meters

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def method_of(method: str) -> str:
    return method if method in METHODS else "other"


def count_requests(app: Flask) -> None:
    @app.after_request
    def count(answer: Response) -> Response:
        route = request.url_rule.rule if request.url_rule is not None else "unknown"
        method = method_of(request.method)
        meters().http_requests.labels(route, method, str(answer.status_code)).inc()
        if not _waits(answer):
            meters().http_request_seconds.labels(route, method).observe(time.perf_counter() - g.began)
        return answer


def _waits(answer: Response) -> bool:
    """Whether how long it took was up to who asked."""
    return answer.mimetype == "text/event-stream" or "wait" in request.args
