"""Reading what a request carries, and no more of it than is allowed."""

from flask import g, request

from api.errors import UnsupportedMediaType

MAX_JSON_BYTES = 1 << 20


def limit_body(max_bytes: int) -> None:
    """Werkzeug then refuses to read past it, also where a chunked body announced no length."""
    request.max_content_length = g.max_body_bytes = max_bytes


def read_json() -> bytes:
    """A JSON body, unparsed."""
    limit_body(MAX_JSON_BYTES)
    _refuse_encoding()
    if request.mimetype != "application/json":
        raise UnsupportedMediaType(
            f"This route reads JSON, not {request.mimetype or 'a body without Content-Type'}.",
            field="Content-Type",
            expected="application/json",
        )
    return request.get_data(cache=False)


def read_raw(max_bytes: int) -> bytes:
    """A body that is the file itself."""
    limit_body(max_bytes)
    _refuse_encoding()
    return request.get_data(cache=False)


def _refuse_encoding() -> None:
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType(
            "Compressed bodies are not read.", field="Content-Encoding", expected="no Content-Encoding"
        )
