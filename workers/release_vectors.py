"""The bundled models' starter vectors, put into the library as the system's.

Beside a model's weights lie vectors/NAME.safetensors with delta_w, NAME.json that says what it is, and
NAME.before.png and NAME.after.png that show it. Doing it again changes nothing; a vector that was learned
again takes the place of the one of its name.
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from storage.errors import VectorInUse
from storage.library_records import Model, Vector
from storage.mask_specs import PartName
from storage.masks import resolve_parts
from storage.objects import vector_key
from storage.records import SYSTEM_TENANT, ObjectRef
from storage.stores import Library, Stores
from storage.vector_files import (
    DELTA_W,
    VECTOR_MEDIA_TYPE,
    check_shape,
    dimensions_of,
    layers_of,
    read_vector,
)
from storage.vector_names import EditingType, Tags, VectorName

FOLDER = "vectors"
GENERATOR_SHA256 = "generator_sha256"  # in facts: which weights a vector was learned on
PICTURES = ("before", "after")

log = logging.getLogger(__name__)


class About(BaseModel):
    """What NAME.json says. Members that are not known here are left alone."""

    name: VectorName
    editing_type: EditingType
    tags: Tags = ()
    q_edit: Annotated[tuple[PartName, ...], Field(max_length=64)] = ()
    facts: dict[str, Any] = {}
    report: dict[str, Any] = {}


def register_vectors(stores: Stores, model: Model, folder: Path) -> tuple[Vector, ...]:
    """Every vector in the model's folder. Raises an EditqError, or ValueError, for one that cannot be one."""
    found = [_register(stores, model, path) for path in sorted((folder / FOLDER).glob("*.safetensors"))]
    kept = tuple(vector for vector in found if vector is not None)
    _remove_replaced(stores.library, model, kept)
    return kept


def _register(stores: Stores, model: Model, path: Path) -> Vector | None:
    about = About.model_validate_json(path.with_suffix(".json").read_bytes())
    generator = model.files["generator"]
    if about.facts.get(GENERATOR_SHA256, generator.sha256) != generator.sha256:
        log.error("%s: %s was learned on other weights, and is left out", model.name, about.name)
        return None
    delta_w = read_vector(path.read_bytes())
    w_dim = dimensions_of(stores.objects.stream(generator))
    check_shape(delta_w, model.name, layers_of(model.resolution_px), w_dim)
    contents = dict(_contents(path, about))
    parts = {part.id: part.name for part in model.parts}
    vector = stores.library.put_vector(
        Vector(
            id=id_of(model.name, contents[DELTA_W][0]),
            tenant_id=SYSTEM_TENANT,
            name=about.name,
            model=model.name,
            model_digest=model.digest,
            generator_sha256=model.generator_sha256,
            editing_type=about.editing_type,
            tags=about.tags,
            q_edit=tuple(parts[part] for part in resolve_parts(about.q_edit, model.parts, model.groups)),
            files={role: _put(stores, *content) for role, content in contents.items()},
            facts=about.facts,
            report=about.report,
            job_id=None,
            created_at=0.0,  # the library's clock sets it
        )
    )
    for content in contents.values():  # again, for what was removed as garbage before its record was there
        _put(stores, *content)
    log.info("vector %s of %s: %s", vector.name, model.name, vector.id)
    return vector


def id_of(model: str, content: bytes) -> str:
    """The same vector has the same id wherever it is released."""
    return hashlib.sha256(f"{model} {hashlib.sha256(content).hexdigest()}".encode()).hexdigest()[:32]


def _contents(path: Path, about: About) -> Iterator[tuple[str, tuple[bytes, str]]]:
    """Bytes and media type by role."""
    yield DELTA_W, (path.read_bytes(), VECTOR_MEDIA_TYPE)
    for moment in PICTURES:
        picture = path.with_name(f"{path.stem}.{moment}.png")
        if picture.is_file():
            yield moment, (picture.read_bytes(), "image/png")
    if about.report:
        yield "report", (json.dumps(about.report, indent=1).encode(), "application/json")


def _put(stores: Stores, content: bytes, media_type: str) -> ObjectRef:
    """Written again only where it is missing: the key is the digest."""
    sha256 = hashlib.sha256(content).hexdigest()
    key = vector_key(SYSTEM_TENANT, sha256)
    if stores.objects.exists(key):
        return ObjectRef(key, sha256, len(content), media_type)
    return stores.objects.put(key, content, media_type)


def _remove_replaced(library: Library, model: Model, kept: tuple[Vector, ...]) -> None:
    """Those of the same names that are there under other ids. One that a job needs stays until next time."""
    names, ids = {vector.name for vector in kept}, {vector.id for vector in kept}
    for old in list(_systems(library, model)):
        if old.name in names and old.id not in ids:
            try:
                library.delete_vector(SYSTEM_TENANT, old.id)
            except VectorInUse as error:
                log.warning("vector %s of %s was learned again: %s", old.name, model.name, error)


def _systems(library: Library, model: Model) -> Iterator[Vector]:
    cursor = None
    while True:
        page = library.list_vectors(SYSTEM_TENANT, model=model.name, limit=100, cursor=cursor)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return
