"""Images and models, as records: SQLite and PostgreSQL. created_at is set here, by the database's clock."""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, String, and_, bindparam, delete, func, select

from storage.cursors import decode_cursor, page_of
from storage.database import before
from storage.errors import Forbidden, ImageInUse, ImageNotFound, ModelInUse, ModelNotFound
from storage.files import SqlFiles
from storage.library_records import Model, Part
from storage.library_tables import VECTORS
from storage.marks import unmark
from storage.plain import plain, ref_to_dict, refs_from_dict, refs_to_dict, storable
from storage.records import SYSTEM_TENANT, Image, ObjectRef, Page
from storage.rows import open_job_naming, open_job_pasting_into
from storage.tables import IMAGES, MODELS
from storage.vectors import SqlVectors, forget_inversions_of

_MODELS_NAMED = select(MODELS).where(  # made once
    MODELS.c.tenant_id.in_((bindparam("of_tenant", type_=String), SYSTEM_TENANT)),
    MODELS.c.name == bindparam("of_name", type_=String),
)


class SqlLibrary(SqlVectors, SqlFiles):
    def add_image(self, image: Image) -> Image:
        row = {
            "id": image.id, "tenant_id": image.tenant_id, "role": image.role, **ref_to_dict(image.object),
            "width_px": image.width_px, "height_px": image.height_px,
            "filename": storable(image.filename), "created_at": self._database.now,
        }  # fmt: skip
        with self._database.write() as connection:
            unmark(connection, self._insert, self._database.now, [image.object.key])
            return _image(connection.execute(self._insert(IMAGES).values(row).returning(IMAGES)).one())

    def get_image(self, tenant_id: str, image_id: str) -> Image:
        query = select(IMAGES).where(IMAGES.c.id == image_id, IMAGES.c.tenant_id == tenant_id)
        with self._database.read() as connection:
            return _found(connection.execute(query).one_or_none(), image_id)

    def get_images(self, tenant_id: str, image_ids: Collection[str]) -> dict[str, Image]:
        query = select(IMAGES).where(IMAGES.c.id.in_(image_ids), IMAGES.c.tenant_id == tenant_id)
        with self._database.read() as connection:
            return {row.id: _image(row) for row in connection.execute(query)}

    def list_images(self, tenant_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Image]:
        query = select(IMAGES).where(IMAGES.c.tenant_id == tenant_id)
        if cursor is not None:
            query = query.where(before(IMAGES.c, *decode_cursor(cursor)))
        query = query.order_by(IMAGES.c.created_at.desc(), IMAGES.c.id.desc()).limit(limit + 1)
        with self._database.read() as connection:
            return page_of([_image(row) for row in connection.execute(query)], limit)

    def delete_image(self, tenant_id: str, image_id: str) -> Image:
        mine = and_(IMAGES.c.id == image_id, IMAGES.c.tenant_id == tenant_id)
        with self._database.write() as connection:
            image = _found(
                connection.execute(select(IMAGES).where(mine).with_for_update()).one_or_none(), image_id
            )
            job_id = open_job_naming(connection, image_id, tenant_id)
            job_id = job_id or open_job_pasting_into(connection, image_id, tenant_id)
            if job_id is not None:
                raise ImageInUse(f"Job {job_id} has not ended and needs this image.")
            connection.execute(delete(IMAGES).where(mine))
            forget_inversions_of(connection, tenant_id, image.object.sha256)
        return image

    def names_object(self, key: str) -> bool:
        with self._database.read() as connection:
            query = select(func.count()).select_from(IMAGES).where(IMAGES.c.key == key)
            return connection.execute(query).scalar_one() > 0

    def put_model(self, model: Model) -> Model:
        with self._database.write() as connection:
            unmark(connection, self._insert, self._database.now, [ref.key for ref in model.files.values()])
            return write_model(connection, self._insert, self._database.now, model)

    def get_model(self, tenant_id: str, name: str) -> Model:
        with self._database.read() as connection:
            rows = connection.execute(_MODELS_NAMED, {"of_tenant": tenant_id, "of_name": name})
            found = visible_models(tenant_id, (_model(row) for row in rows))
        if not found:
            raise ModelNotFound(f"There is no model named {name!r}.", field="model")
        return found[0]

    def delete_model(self, tenant_id: str, name: str) -> Model:
        mine = and_(MODELS.c.tenant_id == tenant_id, MODELS.c.name == name)
        with self._database.write() as connection:
            row = connection.execute(select(MODELS).where(mine).with_for_update()).one_or_none()
            if row is None:
                raise not_yours(self.get_model(tenant_id, name))
            refuse_model_in_use(open_job_naming(connection, f'"{name}"', tenant_id))
            fitting = and_(VECTORS.c.tenant_id == tenant_id, VECTORS.c.model_digest == row.digest)
            connection.execute(delete(VECTORS).where(fitting))
            connection.execute(delete(MODELS).where(mine))
        return _model(row)

    def list_models(self, tenant_id: str) -> tuple[Model, ...]:
        query = select(MODELS).where(MODELS.c.tenant_id.in_({tenant_id, SYSTEM_TENANT}))
        with self._database.read() as connection:
            return visible_models(tenant_id, (_model(row) for row in connection.execute(query)))


def write_model(connection: Connection, into: Any, now: ColumnElement[float], model: Model) -> Model:
    """As put_model, in the transaction of a caller who unmarked its objects. `into`: the dialect's INSERT."""
    row = {
        "id": model.id, "tenant_id": model.tenant_id, "name": model.name, "digest": model.digest,
        "resolution_px": model.resolution_px,
        "parts": [{"id": p.id, "name": p.name, "colour": list(p.colour)} for p in model.parts],
        "groups": plain(model.groups), "files": refs_to_dict(model.files),
        "card": plain(model.card), "created_at": now,
    }  # fmt: skip
    statement = into(MODELS).values(row)
    statement = statement.on_conflict_do_update(
        index_elements=["tenant_id", "name"],
        set_={name: statement.excluded[name] for name in row if name not in ("tenant_id", "name")},
        where=MODELS.c.digest != statement.excluded.digest,
    ).returning(MODELS)
    changed = connection.execute(statement).one_or_none()
    if changed is not None:
        return _model(changed)
    same = select(MODELS).where(MODELS.c.tenant_id == model.tenant_id, MODELS.c.name == model.name)
    return _model(connection.execute(same).one())


def not_yours(model: Model) -> Forbidden:
    return Forbidden(f"The model {model.name} is the system's: everybody may use it, nobody may delete it.")


def refuse_model_in_use(job_id: str | None) -> None:
    if job_id is not None:
        raise ModelInUse(f"Job {job_id} has not ended and needs this model.")


def visible_models(tenant_id: str, models: Iterable[Model]) -> tuple[Model, ...]:
    """A tenant's own and the system's, by name; a tenant's own model hides the system's of the same name."""
    by_name: dict[str, Model] = {}
    for model in models:
        own = model.tenant_id == tenant_id
        if own or (model.tenant_id == SYSTEM_TENANT and model.name not in by_name):
            by_name[model.name] = model
    return tuple(by_name[name] for name in sorted(by_name))


def _found(row: Row[Any] | None, image_id: str) -> Image:
    if row is None:
        raise ImageNotFound(f"There is no image {image_id}.")
    return _image(row)


def _image(row: Row[Any]) -> Image:
    ref = ObjectRef(row.key, row.sha256, row.byte_size, row.media_type)
    return Image(
        row.id, row.tenant_id, row.role, ref, row.width_px, row.height_px, row.filename, row.created_at
    )


def _model(row: Row[Any]) -> Model:
    parts = tuple(Part(part["id"], part["name"], tuple(part["colour"])) for part in row.parts)
    groups = {name: tuple(members) for name, members in row.groups.items()}
    return Model(
        row.id, row.tenant_id, row.name, row.digest, row.resolution_px, parts, groups,
        refs_from_dict(row.files), row.card, row.created_at,
    )  # fmt: skip
