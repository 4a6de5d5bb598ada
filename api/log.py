"""One JSON line per record, with the id of the request that caused it."""

import json
import logging
import re
import secrets
import sys
import time
from datetime import UTC, datetime

from flask import Flask, Response, g, has_request_context, request

log = logging.getLogger("editq.access")
GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
EXTRAS = ("request_id", "method", "path", "status", "milliseconds", "tenant_id", "job_id")


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if has_request_context():
            line["request_id"] = g.get("request_id")
        line |= {name: vars(record)[name] for name in EXTRAS if name in vars(record)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logging(level: str) -> None:
    """For a process of our own: everything to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def register_log(app: Flask) -> None:
    """X-Request-ID: the caller's where it is harmless, else one of ours; in the answer and in every line."""

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
        g.began = time.perf_counter()

    @app.after_request
    def end(answer: Response) -> Response:
        answer.headers["X-Request-ID"] = g.request_id
        extra = {
            "request_id": g.request_id,
            "method": request.method,
            "path": request.path,
            "status": answer.status_code,
            "milliseconds": round((time.perf_counter() - g.began) * 1000, 1),
            "tenant_id": g.get("tenant_id"),
        }
        level = logging.DEBUG if request.path in ("/livez", "/readyz") else logging.INFO
        log.log(level, "request", extra=extra)
        return answer
