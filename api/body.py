"""Reading what a request carries, and no more of it than is allowed."""

import contextlib
import time

from flask import Response, g, request

from api.errors import UnsupportedMediaType
from storage.errors import BodyTooLarge

MAX_JSON_BYTES = 1 << 20
DISCARDED_BYTES, DISCARDING_S = 64 << 20, 5.0


def limit_body(max_bytes: int) -> None:
    """Werkzeug then refuses a longer Content-Length, and reads no further than one byte past the limit."""
    request.max_content_length = max_bytes + 1
    g.max_body_bytes = max_bytes
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)


def read_json() -> bytes:
    """A JSON body, unparsed."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType(
            f"This route reads JSON, not {request.mimetype or 'a body without Content-Type'}.",
            field="Content-Type",
            expected="application/json",
        )
    return read_raw(MAX_JSON_BYTES)


def read_raw(max_bytes: int) -> bytes:
    """The body as it is. A chunked one announces no length: whether it is too long shows only at its end."""
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType(
            "Compressed bodies are not read.", field="Content-Encoding", expected="no Content-Encoding"
        )
    limit_body(max_bytes)
    data = request.get_data(cache=False)
    if len(data) > max_bytes:
        raise _too_large(max_bytes)
    return data


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(
        "The body is larger than this route takes.", field="body", expected=f"at most {max_bytes} bytes"
    )


def discard_rest(answer: Response) -> Response:
    """Let a client that was refused finish sending, within reason: on a connection that is reset because of
    bytes that nobody read, most clients never see the answer."""
    if answer.status_code >= 400 and "wsgi.input_terminated" in request.environ:
        stream, left = request.environ["wsgi.input"], DISCARDED_BYTES
        until = time.monotonic() + DISCARDING_S
        with contextlib.suppress(Exception):  # of the server's own kinds: it closes the connection then
            while left > 0 and time.monotonic() < until and (data := stream.read(1 << 16)):
                left -= len(data)
    return answer
