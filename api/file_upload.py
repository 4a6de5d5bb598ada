"""From the body of a request to a file that is kept, piece by piece, and back to nothing."""

import contextlib
import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import IO, Annotated

from flask import request
from pydantic import BaseModel, ConfigDict, Field

from api.body import limit_body
from api.errors import MalformedBody, TooManyUploads, UnsupportedMediaType
from api.service import service, stores
from storage.errors import BodyTooLarge, DigestMismatch, FileNotFound, InvalidInput, StorageUnavailable
from storage.file_records import File
from storage.objects import file_key
from storage.records import new_id

log = logging.getLogger("editq.api")

UPLOADS = BoundedSemaphore(8)  # of this process: each holds a thread for as long as its client takes
ANY_BYTES = "application/octet-stream"
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")
_FORMS = ("application/x-www-form-urlencoded", "")  # what clients say that were told nothing

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileFields(BaseModel):
    model_config = ConfigDict(extra="forbid")

    filename: Annotated[str, Field(max_length=255)] | None = Field(default=None, description="To remember.")
    sha256: Sha256 | None = Field(default=None, description="What the body must be: checked as it comes.")


class FileHeaders(BaseModel):
    content_sha256: Sha256 | None = Field(
        default=None, alias="X-Content-SHA256", description="The same, as a header."
    )


def keep_file(tenant_id: str, fields: FileFields, headers: FileHeaders) -> tuple[File, bool]:
    """The record of the body's content, and whether it is new. Nothing is kept of a body that is too long,
    was cut off, or is not what was announced."""
    media_type = _media_type()
    max_bytes = service().settings.max_file_bytes
    limit_body(max_bytes)
    with _place():
        body = Body(request.stream, max_bytes, request.content_length, _announced(fields, headers))
        ref = stores().objects.put_content(lambda sha256: file_key(tenant_id, sha256), body, media_type)
    fresh = File(new_id(), tenant_id, ref, fields.filename, 0.0)
    kept = stores().library.add_file(fresh)
    if not stores().objects.exists(ref.key):  # removed as garbage between the two
        with contextlib.suppress(FileNotFound):  # another has deleted it meanwhile
            stores().library.delete_file(tenant_id, kept.id)
        raise StorageUnavailable("This very file was being removed: send it once more.")
    return kept, kept.id == fresh.id


class Body:
    """A request's body as a store reads it. Its end is its end only if all is as it was announced."""

    def __init__(
        self, stream: IO[bytes], max_bytes: int, content_length: int | None, sha256: str | None
    ) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._content_length = content_length
        self._sha256 = sha256
        self._digest = hashlib.sha256()
        self._byte_size = 0

    def read(self, size: int) -> bytes:
        """Raises BodyTooLarge, MalformedBody, DigestMismatch; InvalidInput for an empty one."""
        try:
            data = self._stream.read(size)
        except OSError as error:  # the server's own kinds: of a connection, or of broken chunks
            raise _cut_off() from error
        self._digest.update(data)
        self._byte_size += len(data)
        if self._byte_size > self._max_bytes:
            expected = f"at most {self._max_bytes} bytes"
            raise BodyTooLarge("The file is larger than this service takes.", field="body", expected=expected)
        if not data:
            self._check_end()
        return data

    def _check_end(self) -> None:
        if self._content_length not in (None, self._byte_size):  # some servers end a body that was cut off
            raise _cut_off()
        if not self._byte_size:
            raise InvalidInput("The body is empty.", field="body", expected="the bytes of a file")
        found = self._digest.hexdigest()
        if self._sha256 not in (None, found):
            raise DigestMismatch(
                f"The body of {self._byte_size} bytes has the SHA-256 {found}.",
                field="sha256",
                expected=f"a body whose SHA-256 is {self._sha256}",
            )


def _cut_off() -> MalformedBody:
    return MalformedBody("The body ended before all of it had come.", field="body")


def _announced(fields: FileFields, headers: FileHeaders) -> str | None:
    given = {fields.sha256, headers.content_sha256} - {None}
    if len(given) > 1:
        detail = "The query's sha256 and the header X-Content-SHA256 differ."
        raise DigestMismatch(detail, field="sha256", expected="the same digest in both, or in one of them")
    return given.pop() if given else None


def _media_type() -> str:
    """As the client says, where that is a plain type. Raises UnsupportedMediaType for a form."""
    if request.mimetype.startswith("multipart/"):
        raise UnsupportedMediaType(
            "A file is sent as the body itself, not within a form.",
            field="Content-Type",
            expected=f"the file's own type, such as {ANY_BYTES}",
        )
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType(
            "Compressed bodies are not read.", field="Content-Encoding", expected="no Content-Encoding"
        )
    known = request.mimetype not in _FORMS and _MEDIA_TYPE.fullmatch(request.mimetype)
    return request.mimetype if known else ANY_BYTES


@contextmanager
def _place() -> Iterator[None]:
    """Raises TooManyUploads: the other threads are for requests that end soon."""
    if not UPLOADS.acquire(blocking=False):
        raise TooManyUploads("This process takes in as many files as it can: try again.")
    try:
        yield
    finally:
        UPLOADS.release()


def forget_file(tenant_id: str, file_id: str) -> None:
    """Delete the record, and the object unless an upload names it again. Raises FileNotFound, FileInUse.

    As the garbage collector does, without its grace: an upload of the same content meanwhile is refused a
    record until the object is gone, or has one first.
    """
    key = stores().library.delete_file(tenant_id, file_id).object.key
    retention = stores().retention
    try:
        retention.mark([key])
        condemned = retention.condemn([key])
        stores().objects.delete(sorted(condemned))
        retention.forget(condemned)
    except StorageUnavailable as error:  # the collector goes on from here
        log.warning("object %s is left to the garbage collector: %s", key, error.detail)
