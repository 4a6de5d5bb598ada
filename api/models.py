"""/v1/models: what can be drawn, with its parts."""

from datetime import UTC, datetime
from typing import Any

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from api.download import send_object, sent
from api.errors import responses
from api.paging import answer
from api.service import stores, tenant_id
from storage.errors import OutputNotFound
from storage.library_records import Model

models = APIBlueprint(
    "models",
    __name__,
    url_prefix="/v1/models",
    abp_tags=[Tag(name="models", description="Named, digest-pinned weights.")],
    abp_responses=responses(403, 422, 503),
)


class PartView(BaseModel):
    id: int = Field(description="The part's index in a mask.")
    name: str
    colour: tuple[int, int, int] = Field(description="Red, green and blue, 0 to 255.")


class FileView(BaseModel):
    sha256: str
    byte_size: int
    media_type: str


class ModelView(BaseModel):
    name: str
    tenant: str = Field(description="Whose it is; `system` for the bundled ones, which all may use.")
    digest: str = Field(description="SHA-256 over the model's files.")
    resolution_px: int
    parts: list[PartView]
    groups: dict[str, list[str]] = Field(description="Names that stand for several parts.")
    files: dict[str, FileView]
    card: dict[str, Any]
    created_at: datetime


class ModelList(BaseModel):
    items: list[ModelView]


class ModelPath(BaseModel):
    name: str


def model_view(model: Model) -> ModelView:
    return ModelView(
        name=model.name,
        tenant=model.tenant_id,
        digest=model.digest,
        resolution_px=model.resolution_px,
        parts=[PartView(id=part.id, name=part.name, colour=part.colour) for part in model.parts],
        groups={name: list(parts) for name, parts in model.groups.items()},
        files={
            role: FileView(sha256=file.sha256, byte_size=file.byte_size, media_type=file.media_type)
            for role, file in model.files.items()
        },
        card=model.card,
        created_at=datetime.fromtimestamp(model.created_at, UTC),
    )


@models.get("", operation_id="listModels", responses={200: ModelList})
def list_models() -> Response:
    """List the models that you may use."""
    return answer(ModelList(items=[model_view(model) for model in stores().library.list_models(tenant_id())]))


@models.get("/<name>", operation_id="getModel", responses={200: ModelView, **responses(404)})
def get_model(path: ModelPath) -> Response:
    """Describe a model: its parts with names and colours, part groups, resolution, digest, card."""
    return answer(model_view(stores().library.get_model(tenant_id(), path.name)))


@models.get(
    "/<name>/preview",
    operation_id="getModelPreview",
    responses={
        **sent("A sheet of samples.", "image/png"),
        **responses(404),
    },
)
def get_model_preview(path: ModelPath) -> Response:
    """Show what a model draws: a sheet of its samples, where it came with one (`files` says so)."""
    preview = stores().library.get_model(tenant_id(), path.name).files.get("preview")
    if preview is None:
        raise OutputNotFound(f"The model {path.name} came without a preview.", field="name")
    return send_object(preview, f"{path.name}.png")


@models.delete("/<name>", operation_id="deleteModel", responses={204: None, **responses(404, 409)})
def delete_model(path: ModelPath) -> Response:
    """Delete a model of yours, with your vectors that fit it, unless a job that has not ended names it.

    Results made with it stay. Where it hid a model of the system's of the same name, that one is seen again.
    """
    stores().library.delete_model(tenant_id(), path.name)
    return Response(status=204)
