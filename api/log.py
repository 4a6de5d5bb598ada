"""What each request leaves in the log: a line of its own, and its ids in all lines that it causes."""

import logging
import re
import secrets
import time
from contextlib import ExitStack

from flask import Flask, Response, g, request

from storage.log import about, note
from storage.tracing import span

log = logging.getLogger("editq.access")
GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
PROBES = ("/livez", "/readyz")


def register_log(app: Flask) -> None:
    """X-Request-ID: the caller's where it is harmless, else one of ours; in the answer and in every line. A
    caller's traceparent (W3C) is gone on with."""

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
        g.began = time.perf_counter()
        g.around = ExitStack()
        g.around.enter_context(about(request_id=g.request_id))
        rule = request.url_rule.rule if request.url_rule is not None else "unknown"
        name, parent = f"{request.method} {rule}", request.headers.get("traceparent")
        if request.path not in PROBES:
            g.told = g.around.enter_context(span(name, parent, kind="server"))

    @app.after_request
    def end(answer: Response) -> Response:
        answer.headers["X-Request-ID"] = g.request_id
        if "told" in g:
            g.told |= {"status": answer.status_code, "request_id": g.request_id}
        extra = {
            "method": request.method,
            "path": request.path,
            "status": answer.status_code,
            "milliseconds": round((time.perf_counter() - g.began) * 1000, 1),
        }
        level = logging.DEBUG if request.path in PROBES else logging.INFO
        log.log(level, "request", extra=extra)
        return answer

    @app.teardown_request
    def leave(_error: BaseException | None) -> None:
        if "around" in g:
            g.pop("around").close()


def tell_of_request() -> None:
    """Once it is known who asks, and for what."""
    note(tenant_id=g.get("tenant_id"), job_id=(request.view_args or {}).get("job_id"))
