"""/v1/images: pictures and masks, kept exactly as they were sent."""

from datetime import UTC, datetime
from typing import Any, Literal

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from api.download import BINARY, send_object, sent
from api.errors import responses
from api.limits import check_store
from api.paging import PageQuery, PageView, answer, answer_page
from api.service import stores, tenant_id
from api.upload import ImageFields, forget_image, keep_image, read_upload
from storage.records import Image

_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": BINARY, **ImageFields.model_json_schema()["properties"]},
                "additionalProperties": False,
            }
        },
        "image/*": {"schema": BINARY},
    },
}

images = APIBlueprint(
    "images",
    __name__,
    url_prefix="/v1/images",
    abp_tags=[Tag(name="images", description="Pictures to edit, and masks that say what is wanted.")],
    abp_responses=responses(403, 422, 503),
)


class ImageView(BaseModel):
    id: str
    role: Literal["picture", "mask"]
    media_type: str
    width_px: int
    height_px: int
    byte_size: int
    sha256: str
    filename: str | None
    url: str = Field(description="Where the bytes are.")
    created_at: datetime


class ImagePage(PageView):
    items: list[ImageView]


class ImagePath(BaseModel):
    image_id: str


def image_view(image: Image) -> ImageView:
    return ImageView(
        id=image.id,
        role=image.role,
        media_type=image.object.media_type,
        width_px=image.width_px,
        height_px=image.height_px,
        byte_size=image.object.byte_size,
        sha256=image.object.sha256,
        filename=image.filename,
        url=f"/v1/images/{image.id}/content",
        created_at=datetime.fromtimestamp(image.created_at, UTC),
    )


@images.post(
    "",
    operation_id="uploadImage",
    openapi_extensions={"requestBody": _BODY},
    responses={201: ImageView, **responses(400, 413, 415, 507)},
)
def upload_image(query: ImageFields) -> Response:
    """Upload a picture or a mask.

    As multipart/form-data (`file`, and `role` where it is a mask) or as the body itself with an image/*
    Content-Type (`?role=mask&filename=...`). A mask is an indexed or grey PNG whose values are part ids.
    Nothing is kept unless the whole file could be decoded.
    """
    check_store(tenant_id(), request.content_length or 0)
    data, fields = read_upload(query)
    image = keep_image(tenant_id(), data, fields)
    created = answer(image_view(image), 201)
    created.headers["Location"] = f"/v1/images/{image.id}"
    return created


@images.get("", operation_id="listImages", responses={200: ImagePage})
def list_images(query: PageQuery) -> Response:
    """List your images, newest first."""
    page = stores().library.list_images(tenant_id(), limit=query.limit, cursor=query.cursor)
    return answer_page(
        ImagePage(items=[image_view(image) for image in page.items], next_cursor=page.next_cursor)
    )


@images.get("/<image_id>", operation_id="getImage", responses={200: ImageView, **responses(404)})
def get_image(path: ImagePath) -> Response:
    """Describe an image."""
    return answer(image_view(stores().library.get_image(tenant_id(), path.image_id)))


@images.get(
    "/<image_id>/content",
    operation_id="getImageContent",
    responses={
        **sent("The bytes as they were sent.", "image/*"),
        **responses(404),
    },
)
def get_image_content(path: ImagePath) -> Response:
    """Download an image."""
    image = stores().library.get_image(tenant_id(), path.image_id)
    return send_object(image.object, image.filename or image.id)


@images.delete("/<image_id>", operation_id="deleteImage", responses={204: None, **responses(404, 409)})
def delete_image(path: ImagePath) -> Response:
    """Delete an image, unless a job that has not ended needs it."""
    forget_image(tenant_id(), path.image_id)
    return Response(status=204)
