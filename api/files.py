"""/v1/files: uploads that are neither pictures nor masks, kept exactly as they were sent."""

from datetime import UTC, datetime
from typing import Any

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from api.download import BINARY, send_object, sent
from api.errors import responses
from api.file_upload import FileFields, FileHeaders, Sha256, forget_file, keep_file
from api.limits import check_store
from api.paging import PageQuery, PageView, answer, answer_page
from api.service import stores, tenant_id
from storage.file_records import File

_BODY: dict[str, Any] = {"required": True, "content": {"*/*": {"schema": BINARY}}}

files = APIBlueprint(
    "files",
    __name__,
    url_prefix="/v1/files",
    abp_tags=[Tag(name="files", description="Manifests, shards, checkpoints: what jobs read beside images.")],
    abp_responses=responses(403, 422, 503),
)


class UploadedFileView(BaseModel):
    id: str
    sha256: str
    byte_size: int
    media_type: str
    filename: str | None
    url: str = Field(description="Where the bytes are.")
    created_at: datetime


class FilePage(PageView):
    items: list[UploadedFileView]


class FilePath(BaseModel):
    file_id: str


class FileQuery(PageQuery):
    sha256: Sha256 | None = Field(default=None, description="Only the file of this content: none, or one.")


def file_view(file: File) -> UploadedFileView:
    return UploadedFileView(
        id=file.id,
        sha256=file.object.sha256,
        byte_size=file.object.byte_size,
        media_type=file.object.media_type,
        filename=file.filename,
        url=f"/v1/files/{file.id}/content",
        created_at=datetime.fromtimestamp(file.created_at, UTC),
    )


@files.post(
    "",
    operation_id="uploadFile",
    openapi_extensions={"requestBody": _BODY},
    responses={200: UploadedFileView, 201: UploadedFileView, **responses(400, 413, 415, 507)},
)
def upload_file(query: FileFields, header: FileHeaders) -> Response:
    """Upload a file, as the body itself.

    It goes to the store as it comes in. With its SHA-256 given, as `sha256` or X-Content-SHA256, a body that
    is not that is refused, and nothing is kept of it. The same content again is the same file: 200 then.
    """
    check_store(tenant_id(), request.content_length or 0)
    file, new = keep_file(tenant_id(), query, header)
    created = answer(file_view(file), 201 if new else 200)
    created.headers["Location"] = f"/v1/files/{file.id}"
    return created


@files.get("", operation_id="listFiles", responses={200: FilePage})
def list_files(query: FileQuery) -> Response:
    """List your files, newest first; or look one up by its digest, to see whether it need be sent at all."""
    page = stores().library.list_files(
        tenant_id(), sha256=query.sha256, limit=query.limit, cursor=query.cursor
    )
    return answer_page(FilePage(items=[file_view(file) for file in page.items], next_cursor=page.next_cursor))


@files.get("/<file_id>", operation_id="getFile", responses={200: UploadedFileView, **responses(404)})
def get_file(path: FilePath) -> Response:
    """Describe a file."""
    return answer(file_view(stores().library.get_file(tenant_id(), path.file_id)))


@files.get(
    "/<file_id>/content",
    operation_id="getFileContent",
    responses={
        **sent("The bytes as they were sent.", "*/*"),
        **responses(404),
    },
)
def get_file_content(path: FilePath) -> Response:
    """Download a file."""
    file = stores().library.get_file(tenant_id(), path.file_id)
    return send_object(file.object, file.filename or file.id)


@files.delete("/<file_id>", operation_id="deleteFile", responses={204: None, **responses(404, 409)})
def delete_file(path: FilePath) -> Response:
    """Delete a file, unless a job that has not ended names it, by its id or its digest."""
    forget_file(tenant_id(), path.file_id)
    return Response(status=204)
