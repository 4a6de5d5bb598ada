"""/v1/vectors: the library of editing vectors."""

from datetime import UTC, datetime
from typing import Annotated, Any

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag as ApiTag
from pydantic import BaseModel, ConfigDict, Field

from api.download import BINARY, send_object, sent
from api.errors import responses
from api.limits import check_store
from api.models import FileView
from api.paging import PageQuery, PageView, answer, answer_page
from api.service import stores, tenant_id
from api.strictly import reads_json
from api.vector_upload import FILE, VectorFields, keep_vector, read_vector_form
from storage.errors import OutputNotFound
from storage.library_records import Vector
from storage.options import ModelName
from storage.vector_files import DELTA_W
from storage.vector_names import EditingType, Tag, Tags, VectorName

_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file", "model", "name"],
                "properties": {
                    "file": {**BINARY, "description": FILE},
                    **VectorFields.model_json_schema()["properties"],
                },
                "additionalProperties": False,
            }
        }
    },
}
_SUFFIXES = {"image/png": ".png", "application/json": ".json"}

vectors = APIBlueprint(
    "vectors",
    __name__,
    url_prefix="/v1/vectors",
    abp_tags=[ApiTag(name="vectors", description="Edits that were learned, to be applied to any picture.")],
    abp_responses=responses(403, 422, 503),
)


class VectorFileView(FileView):
    url: str


class VectorView(BaseModel):
    id: str
    name: str
    tenant: str = Field(description="Whose it is; `system` for the bundled ones, which all may use.")
    model: str
    model_digest: str = Field(description="The version of the model that it was made with.")
    generator_sha256: str = Field(description="It fits every model whose generator's file has this digest.")
    editing_type: str = Field(description="What it does; empty where nobody has said.")
    tags: list[str]
    q_edit: list[str] = Field(description="The parts that it is about.")
    files: dict[str, VectorFileView] = Field(description="delta_w; before, after and report where made.")
    facts: dict[str, Any] = Field(description="How it was made: losses, weights, spec.")
    report: dict[str, Any] | None = Field(description="How it transfers to other samples; null in lists.")
    job_id: str | None = Field(description="The job that learned it; that may be gone by now.")
    url: str
    content_url: str
    created_at: datetime


class VectorPage(PageView):
    items: list[VectorView]


class VectorPath(BaseModel):
    vector_id: str


class VectorFilePath(VectorPath):
    name: str


class VectorQuery(PageQuery):
    model: ModelName | None = Field(default=None, description="Only vectors of this model.")
    editing_type: EditingType | None = Field(default=None, description="Only of this editing type.")
    tag: Tag | None = Field(default=None, description="Only those that have this tag.")
    text: Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")] | None = (
        Field(default=None, description="Only those whose name, editing type or tags hold this text.")
    )


class VectorChange(BaseModel):
    """What is left out, or null, stays as it is."""

    model_config = ConfigDict(extra="forbid")

    name: VectorName | None = None
    tags: Tags | None = Field(default=None, description="All tags, in place of those that there are.")
    editing_type: EditingType | None = None


def vector_view(vector: Vector, *, in_list: bool = False) -> VectorView:
    url = f"/v1/vectors/{vector.id}"
    return VectorView(
        id=vector.id,
        name=vector.name,
        tenant=vector.tenant_id,
        model=vector.model,
        model_digest=vector.model_digest,
        generator_sha256=vector.generator_sha256,
        editing_type=vector.editing_type,
        tags=list(vector.tags),
        q_edit=list(vector.q_edit),
        files={
            role: VectorFileView(
                url=f"{url}/files/{role}",
                sha256=ref.sha256,
                byte_size=ref.byte_size,
                media_type=ref.media_type,
            )
            for role, ref in sorted(vector.files.items())
        },
        facts=vector.facts,
        report=None if in_list else vector.report,
        job_id=vector.job_id,
        url=url,
        content_url=f"{url}/content",
        created_at=datetime.fromtimestamp(vector.created_at, UTC),
    )


@vectors.get("", operation_id="listVectors", responses={200: VectorPage})
def list_vectors(query: VectorQuery) -> Response:
    """List the vectors that you may use, newest first."""
    page = stores().library.list_vectors(tenant_id(), **query.model_dump())
    return answer_page(
        VectorPage(
            items=[vector_view(vector, in_list=True) for vector in page.items], next_cursor=page.next_cursor
        )
    )


@vectors.post(
    "",
    operation_id="importVector",
    openapi_extensions={"requestBody": _BODY},
    responses={201: VectorView, **responses(400, 404, 413, 415, 507)},
)
def import_vector() -> Response:
    """Import a vector: a safetensors file with the one tensor delta_w, or a .npy file.

    Its numbers are float32 [L, D] or [1, L, D], all finite, of the shape of the model's codes. Nothing in
    the file is executed, and nothing is kept unless all of it could be read. It has no transfer report.
    """
    check_store(tenant_id(), request.content_length or 0)
    data, fields = read_vector_form()
    vector = keep_vector(tenant_id(), data, fields)
    created = answer(vector_view(vector), 201)
    created.headers["Location"] = f"/v1/vectors/{vector.id}"
    return created


@vectors.get("/<vector_id>", operation_id="getVector", responses={200: VectorView, **responses(404)})
def get_vector(path: VectorPath) -> Response:
    """Describe a vector: what it does, how it was made, how it transfers."""
    return answer(vector_view(stores().library.get_vector(tenant_id(), path.vector_id)))


@vectors.patch(
    "/<vector_id>",
    operation_id="changeVector",
    responses={200: VectorView, **responses(400, 404, 413, 415)},
)
@reads_json
def change_vector(path: VectorPath, body: VectorChange) -> Response:
    """Rename a vector of yours, give it other tags or another editing type."""
    changed = stores().library.change_vector(tenant_id(), path.vector_id, **body.model_dump())
    return answer(vector_view(changed))


@vectors.delete("/<vector_id>", operation_id="deleteVector", responses={204: None, **responses(404, 409)})
def delete_vector(path: VectorPath) -> Response:
    """Delete a vector of yours, unless a job that has not ended needs it."""
    stores().library.delete_vector(tenant_id(), path.vector_id)
    return Response(status=204)


@vectors.get(
    "/<vector_id>/content",
    operation_id="getVectorContent",
    responses={
        **sent("A safetensors file with delta_w.", "application/octet-stream"),
        **responses(404),
    },
)
def get_vector_content(path: VectorPath) -> Response:
    """Download a vector, as a file that can be imported elsewhere."""
    vector = stores().library.get_vector(tenant_id(), path.vector_id)
    return send_object(vector.files[DELTA_W], f"{vector.name}.safetensors")


@vectors.get(
    "/<vector_id>/files/<name>",
    operation_id="getVectorFile",
    responses={**sent("The file.", "*/*"), **responses(404)},
)
def get_vector_file(path: VectorFilePath) -> Response:
    """Download one of a vector's files: before and after (pictures), report (JSON), delta_w."""
    vector = stores().library.get_vector(tenant_id(), path.vector_id)
    if path.name not in vector.files:
        known = ", ".join(sorted(vector.files))
        raise OutputNotFound(f"The vector has no file {path.name}.", field="name", expected=f"one of {known}")
    ref = vector.files[path.name]
    return send_object(ref, f"{path.name}{_SUFFIXES.get(ref.media_type, '.safetensors')}")
