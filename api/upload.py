"""From the bytes of an upload to an image that is kept, and back to nothing.

Objects are named by their content, so two images may share one: whoever adds or removes the last
holder of an object does so under a lock by its name.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Literal, TypeVar

from flask import request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.body import limit_body, read_raw
from api.errors import InvalidRequest, UnsupportedMediaType, about
from api.service import service, stores
from api.validation import explain
from storage.decoders import decode_mask, inspect_picture
from storage.errors import StorageFull, StorageUnavailable
from storage.objects import image_key
from storage.records import Image, ObjectRef, new_id

R = TypeVar("R")

PICTURE = "a whole JPEG, PNG, WebP, BMP or TIFF file"
MASK = "an indexed or grey PNG whose values are part ids"
LOCK_LEASE_S = 30.0
LOCK_WAIT_S = 5.0
GARBAGE_WAIT_S, GARBAGE_PAUSE_S = 3.0, 0.2


class ImageFields(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["picture", "mask"] = Field(default="picture", description="What the file is for.")
    filename: Annotated[str, Field(max_length=255)] | None = Field(default=None, description="To remember.")


def read_upload(query: ImageFields) -> tuple[bytes, ImageFields]:
    """The file in the request and what is said about it. Nothing is decoded yet."""
    max_bytes = service().settings.max_body_bytes
    if request.mimetype == "multipart/form-data":
        limit_body(max_bytes)
        return _read_multipart(query)
    if request.mimetype.startswith("image/") or request.mimetype == "application/octet-stream":
        return read_raw(max_bytes), query
    raise UnsupportedMediaType(
        f"An image is not sent as {request.mimetype or 'a body without Content-Type'}.",
        field="Content-Type",
        expected="multipart/form-data or image/*",
    )


def _read_multipart(query: ImageFields) -> tuple[bytes, ImageFields]:
    files = request.files.to_dict(flat=False)
    if list(files) != ["file"] or len(files["file"]) != 1:
        found = ", ".join(files) or "no file part"
        expected = "one part named file, with a filename"
        detail = f"The form has {found}; expected {expected}."
        raise InvalidRequest([{"field": "file", "expected": expected, "detail": detail}])
    file = files["file"][0]
    given = {
        "filename": file.filename or None,
        **query.model_dump(exclude_unset=True),
        **request.form.to_dict(),
    }
    try:
        return file.read(), ImageFields.model_validate(given)
    except ValidationError as error:
        raise explain(error, ImageFields) from None


def keep_image(tenant_id: str, data: bytes, fields: ImageFields) -> Image:
    """Decode the file to its end, then store it. Raises UnreadablePicture, PictureTooLarge."""
    max_pixels = service().settings.max_picture_pixels
    with about("file", MASK if fields.role == "mask" else PICTURE):
        width_px, height_px, media_type = inspect_picture(data, max_pixels)
        if fields.role == "mask":
            decode_mask(data, max_pixels)
    sha256 = hashlib.sha256(data).hexdigest()
    key = image_key(tenant_id, sha256)
    with _holding(key):
        return record(
            lambda: stores().objects.put(key, data, media_type),
            lambda ref: stores().library.add_image(
                Image(
                    id=new_id(),
                    tenant_id=tenant_id,
                    role=fields.role,
                    object=ref,
                    width_px=width_px,
                    height_px=height_px,
                    filename=fields.filename,
                    created_at=time.time(),
                )
            ),
        )


def record(put: Callable[[], ObjectRef], add: Callable[[ObjectRef], R]) -> R:
    """Put the object, then its record. An object that is being removed as garbage meanwhile is put again:
    its record is refused until that is over, and keeps the object from then on."""
    deadline = time.monotonic() + GARBAGE_WAIT_S
    while True:
        try:
            ref = put()
            kept = add(ref)
            break
        except StorageFull:
            raise
        except StorageUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(GARBAGE_PAUSE_S)
    if not stores().objects.exists(ref.key):  # removed between the two
        put()
    return kept


def forget_image(tenant_id: str, image_id: str) -> None:
    """Delete the row, and the object with its last row. Raises ImageNotFound, ImageInUse."""
    key = stores().library.get_image(tenant_id, image_id).object.key
    with _holding(key):
        stores().library.delete_image(tenant_id, image_id)
        if not stores().library.names_object(key):
            stores().objects.delete([key])


@contextmanager
def _holding(key: str) -> Iterator[None]:
    """Be the only one, among all processes, that adds or deletes this object."""
    name = f"object:{hashlib.sha256(key.encode()).hexdigest()}"  # keys are longer than names of locks
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        with stores().locks.hold(name, lease_s=LOCK_LEASE_S) as held:
            if held:
                yield
                return
        if time.monotonic() > deadline:
            raise StorageUnavailable("Another upload or deletion of the same file has not ended.")
        time.sleep(0.05)
