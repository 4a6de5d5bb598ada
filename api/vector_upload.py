"""From the bytes of an editing vector's file to a vector in the library."""

import hashlib
from typing import Annotated, Any

import numpy as np
from flask import request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.body import limit_body
from api.errors import InvalidRequest, UnsupportedMediaType, about
from api.service import stores
from api.upload import record
from api.validation import explain
from storage.errors import OutputNotFound
from storage.library_records import Model, Vector
from storage.mask_specs import PartName
from storage.masks import resolve_parts
from storage.objects import vector_key
from storage.options import ModelName
from storage.records import new_id
from storage.vector_files import (
    DELTA_W,
    MAX_HEADER_BYTES,
    MAX_VECTOR_BYTES,
    VECTOR_MEDIA_TYPE,
    Delta,
    check_shape,
    dimensions_of,
    layers_of,
    read_vector,
    write_vector,
)
from storage.vector_names import EditingType, Tags, VectorName

FILE = "a safetensors file with the one tensor delta_w, or a .npy file: float32 [L, D] or [1, L, D]"
FORM_BYTES = 64 << 10  # for the fields beside the file
MANY = ("tags", "q_edit")


class VectorFields(BaseModel):
    """What is said about a file. tags and q_edit are repeated for several."""

    model_config = ConfigDict(extra="forbid")

    model: ModelName = Field(description="The model whose codes the vector changes.")
    name: VectorName
    editing_type: EditingType | None = None
    tags: Tags = ()
    q_edit: Annotated[tuple[PartName, ...], Field(max_length=64)] = Field(
        default=(), description="Parts, or part groups, that the vector is about."
    )


def read_vector_form() -> tuple[bytes, VectorFields]:
    """The file in the request and what is said about it. Nothing of the file is read yet."""
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType(
            f"A vector is not sent as {request.mimetype or 'a body without Content-Type'}.",
            field="Content-Type",
            expected="multipart/form-data",
        )
    limit_body(MAX_VECTOR_BYTES + FORM_BYTES)
    files = request.files.to_dict(flat=False)
    if list(files) != ["file"] or len(files["file"]) != 1:
        expected = "one part named file, with a filename"
        detail = f"The form has {', '.join(files)[:200] or 'no file part'}; expected {expected}."
        raise InvalidRequest([{"field": "file", "expected": expected, "detail": detail}])
    try:
        return files["file"][0].read(), VectorFields.model_validate(_fields())
    except ValidationError as error:
        raise explain(error, VectorFields) from None


def _fields() -> dict[str, Any]:
    """A field that is given several times and must not be is no text then, and so refused."""
    given = request.form.to_dict(flat=False)
    return {name: values if name in MANY or len(values) > 1 else values[0] for name, values in given.items()}


def keep_vector(tenant_id: str, data: bytes, fields: VectorFields) -> Vector:
    """Raises UnreadableVector, VectorMismatch, ModelNotFound, UnknownPart: nothing is kept then."""
    with about("model", "the name of a model listed at /v1/models"):
        model = stores().library.get_model(tenant_id, fields.model)
    parts = {part.id: part.name for part in model.parts}
    q_edit = tuple(parts[part] for part in resolve_parts(fields.q_edit, model.parts, model.groups))
    with about("file", FILE):
        delta_w = read_vector(data)
        check_shape(delta_w, model.name, layers_of(model.resolution_px), _dimensions(model))
    content = write_vector(delta_w)
    key = vector_key(tenant_id, hashlib.sha256(content).hexdigest())
    return record(
        lambda: stores().objects.put(key, content, VECTOR_MEDIA_TYPE),
        lambda ref: stores().library.put_vector(
            Vector(
                id=new_id(),
                tenant_id=tenant_id,
                name=fields.name,
                model=model.name,
                model_digest=model.digest,
                generator_sha256=model.generator_sha256,
                editing_type=fields.editing_type or "",
                tags=fields.tags,
                q_edit=q_edit,
                files={DELTA_W: ref},
                facts=_facts(data, delta_w),
                report={},
                job_id=None,
                created_at=0.0,  # the library's clock sets it
            )
        ),
    )


def _dimensions(model: Model) -> int | None:
    """w_dim, from the beginning of the generator's file; None where that does not tell it."""
    generator = model.files.get("generator")
    if generator is None:
        return None
    try:
        return dimensions_of(stores().objects.stream(generator, chunk_bytes=MAX_HEADER_BYTES))
    except OutputNotFound:
        return None


def _facts(data: bytes, delta_w: Delta) -> dict[str, Any]:
    """How the vector came to be: from a file, and from which."""
    layers, dimensions = delta_w.shape
    length = float(np.sqrt(np.square(delta_w, dtype=np.float64).sum()))
    return {
        "made_by": "import",
        "file_sha256": hashlib.sha256(data).hexdigest(),
        "num_ws": layers,
        "w_dim": dimensions,
        "length": round(length, 6),
    }
