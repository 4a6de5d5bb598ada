"""Objects as answers: verified before their end is sent, cached by their digest, harmless in a browser."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from flask import Response, request

from api.service import stores
from storage.records import ObjectRef

BINARY = {"type": "string", "format": "binary"}
INLINE = frozenset({"image/png", "image/jpeg", "image/webp"})  # what a browser may show; the rest is saved


def sent(description: str, *media_types: str) -> dict[Any, Any]:
    """OpenAPI entries for a route that answers with `send_object`."""
    content = {media_type: {"schema": BINARY} for media_type in media_types}
    return {
        200: {"description": description, "content": content},
        304: {"description": "If-None-Match names its SHA-256."},
    }


def held_back(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """One chunk late, so that an object found corrupt at its end is never sent whole."""
    waiting: bytes | None = None
    for chunk in chunks:
        if waiting is not None:
            yield waiting
        waiting = chunk
    if waiting is not None:
        yield waiting


def send_object(ref: ObjectRef, filename: str) -> Response:
    """The object's bytes. Raises OutputNotFound, ObjectCorrupt (of a small one before any byte)."""
    answer = Response(mimetype=ref.media_type)
    answer.set_etag(ref.sha256)
    answer.headers["Cache-Control"] = "private, max-age=3600, immutable"
    if request.if_none_match.contains(ref.sha256):
        answer.status_code = 304
        return answer
    chunks = held_back(stores().objects.stream(ref))
    first = next(chunks, b"")
    answer.response = _after(first, chunks) if request.method != "HEAD" else ()
    answer.content_length = ref.byte_size
    way = "inline" if ref.media_type in INLINE else "attachment"
    answer.headers["Content-Disposition"] = f"{way}; filename*=UTF-8''{quote(filename, safe='')}"
    return answer


def _after(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from chunks
