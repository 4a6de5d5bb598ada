"""Editing vectors and inversions, as records: SQLite and PostgreSQL. Times are the database's."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    String,
    Table,
    bindparam,
    delete,
    exists,
    func,
    insert,
    not_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from storage.cursors import decode_cursor, page_of
from storage.database import Database, before
from storage.errors import Forbidden, VectorInUse, VectorNotFound
from storage.library_records import Inversion, Vector
from storage.library_tables import INVERSION_OBJECTS, INVERSIONS, VECTOR_OBJECTS, VECTORS
from storage.marks import unmark
from storage.objects import job_of_key
from storage.plain import plain, refs_from_dict, refs_to_dict
from storage.records import SYSTEM_TENANT, ObjectRef, Page
from storage.rows import open_job_naming
from storage.tables import IMAGES

_READABLE = select(VECTORS).where(  # made once
    VECTORS.c.id == bindparam("of_vector", type_=String),
    VECTORS.c.tenant_id.in_((bindparam("of_tenant", type_=String), SYSTEM_TENANT)),
)
_PICTURES_LOCK = 0x70696373  # "pics"
_ELEMENTS = {"sqlite": func.json_each, "postgresql": func.json_array_elements_text}


class SqlVectors:
    """The half of SqlLibrary that holds what is learned and found."""

    def __init__(self, database: Database) -> None:
        self._database = database
        dialect = database.engine.dialect.name
        self._insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
        self._elements = _ELEMENTS[dialect]

    def put_vector(self, vector: Vector) -> Vector:
        with self._database.write() as connection:
            unmark(connection, self._insert, self._database.now, [ref.key for ref in vector.files.values()])
            return write_vector(connection, self._insert, self._database.now, vector)

    def get_vector(self, tenant_id: str, vector_id: str) -> Vector:
        with self._database.read() as connection:
            row = connection.execute(
                _READABLE, {"of_tenant": tenant_id, "of_vector": vector_id}
            ).one_or_none()
            return _found(row, vector_id)

    def list_vectors(
        self,
        tenant_id: str,
        *,
        model: str | None = None,
        editing_type: str | None = None,
        tag: str | None = None,
        text: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Vector]:
        query = select(VECTORS).where(VECTORS.c.tenant_id.in_({tenant_id, SYSTEM_TENANT}))
        if model is not None:
            query = query.where(VECTORS.c.model == model)
        if editing_type is not None:
            query = query.where(VECTORS.c.editing_type == editing_type)
        if tag is not None:
            tags = self._elements(VECTORS.c.tags).table_valued("value")
            query = query.where(exists().select_from(tags).where(tags.c.value == tag))
        if text is not None:
            query = query.where(VECTORS.c.search.contains(text.casefold(), autoescape=True))
        if cursor is not None:
            query = query.where(before(VECTORS.c, *decode_cursor(cursor)))
        query = query.order_by(VECTORS.c.created_at.desc(), VECTORS.c.id.desc()).limit(limit + 1)
        with self._database.read() as connection:
            return page_of([_vector(row) for row in connection.execute(query)], limit)

    def change_vector(
        self,
        tenant_id: str,
        vector_id: str,
        *,
        name: str | None = None,
        tags: Iterable[str] | None = None,
        editing_type: str | None = None,
    ) -> Vector:
        with self._database.write() as connection:
            vector = self._own(connection, tenant_id, vector_id)
            name = vector.name if name is None else name
            editing_type = vector.editing_type if editing_type is None else editing_type
            tags = list(vector.tags if tags is None else tags)
            search = searched(name, editing_type, tags)
            statement = update(VECTORS).where(VECTORS.c.id == vector_id).returning(VECTORS)
            values = {"name": name, "editing_type": editing_type, "tags": tags, "search": search}
            return _vector(connection.execute(statement.values(values)).one())

    def delete_vector(self, tenant_id: str, vector_id: str) -> Vector:
        with self._database.write() as connection:
            vector = self._own(connection, tenant_id, vector_id)
            jobs_of = None if tenant_id == SYSTEM_TENANT else tenant_id
            refuse_in_use(open_job_naming(connection, vector_id, jobs_of))
            connection.execute(delete(VECTORS).where(VECTORS.c.id == vector_id))
        return vector

    def inversion(self, tenant_id: str, digest: str) -> Inversion | None:
        this = (INVERSIONS.c.tenant_id == tenant_id, INVERSIONS.c.digest == digest)
        used = update(INVERSIONS).where(*this).values(used_at=self._database.now).returning(INVERSIONS)
        with self._database.write() as connection:
            row = connection.execute(used).one_or_none()
        return None if row is None else _inversion(row)

    def _own(self, connection: Connection, tenant_id: str, vector_id: str) -> Vector:
        """The tenant's own vector, its row locked."""
        asked = {"of_tenant": tenant_id, "of_vector": vector_id}
        row = connection.execute(_READABLE.with_for_update(), asked).one_or_none()
        return refuse_others(tenant_id, _found(row, vector_id))


def refuse_others(tenant_id: str, vector: Vector) -> Vector:
    """Raises Forbidden for a vector that this tenant may read, and not change."""
    if vector.tenant_id != tenant_id:
        raise Forbidden("This vector is the system's: everybody may use it, nobody may change it.")
    return vector


def refuse_in_use(job_id: str | None) -> None:
    if job_id is not None:
        raise VectorInUse(f"Job {job_id} has not ended and needs this vector.")


def searched(name: str, editing_type: str, tags: Iterable[str]) -> str:
    """What a list is searched by: the same on every backend, whatever it knows of letters."""
    return "\n".join((name, editing_type, *tags)).casefold()


def own_bytes(vector: Vector) -> int:
    """Of its files that are no outputs of a job, which count as those."""
    return sum(ref.byte_size for ref in vector.files.values() if job_of_key(ref.key) is None)


def write_vector(connection: Connection, into: Any, now: ColumnElement[float], vector: Vector) -> Vector:
    """As put_vector, in the transaction of a caller who unmarked its objects. `into`: the dialect's."""
    row = {
        "id": vector.id, "tenant_id": vector.tenant_id, "name": vector.name, "model": vector.model,
        "model_digest": vector.model_digest, "generator_sha256": vector.generator_sha256,
        "editing_type": vector.editing_type,
        "tags": list(vector.tags), "q_edit": list(vector.q_edit), "files": refs_to_dict(vector.files),
        "facts": plain(vector.facts), "report": plain(vector.report), "job_id": vector.job_id,
        "search": searched(vector.name, vector.editing_type, vector.tags), "created_at": now,
        "files_bytes": own_bytes(vector),
    }  # fmt: skip
    statement = into(VECTORS).values(row)
    statement = statement.on_conflict_do_update(
        index_elements=["id"],
        set_={name: statement.excluded[name] for name in row if name not in ("id", "created_at")},
        where=VECTORS.c.tenant_id == statement.excluded.tenant_id,
    )
    kept = connection.execute(statement.returning(VECTORS)).one_or_none()
    if kept is None:
        raise ValueError(f"vector {vector.id} is another tenant's")
    _write_objects(connection, VECTOR_OBJECTS, {"vector_id": vector.id}, vector.files)
    return _vector(kept)


def write_inversion(
    connection: Connection, into: Any, now: ColumnElement[float], inversion: Inversion
) -> None:
    """Add, or replace the one of this tenant and digest, in the caller's transaction."""
    this = {"tenant_id": inversion.tenant_id, "digest": inversion.digest}
    row = {
        **this, "files": refs_to_dict(inversion.files), "facts": plain(inversion.facts),
        "job_id": inversion.job_id, "created_at": now, "used_at": now,
        "picture_sha256": inversion.picture_sha256,
    }  # fmt: skip
    statement = into(INVERSIONS).values(row)
    changed = {name: statement.excluded[name] for name in row if name not in this}
    connection.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "digest"], set_=changed))
    _write_objects(connection, INVERSION_OBJECTS, this, inversion.files)


def forget_inversions_of(connection: Connection, tenant_id: str, picture_sha256: str) -> None:
    """Those of a picture that is deleted in this transaction; not while another record has the same one."""
    if connection.dialect.name == "postgresql":  # or who deletes the two at once finds the other still there
        place = func.hashtext(f"{tenant_id} {picture_sha256}")
        connection.execute(select(func.pg_advisory_xact_lock(_PICTURES_LOCK, place)))
    others = exists().where(IMAGES.c.tenant_id == tenant_id, IMAGES.c.sha256 == picture_sha256)
    theirs = (INVERSIONS.c.tenant_id == tenant_id, INVERSIONS.c.picture_sha256 == picture_sha256)
    connection.execute(delete(INVERSIONS).where(*theirs, not_(others)))


def _write_objects(
    connection: Connection, table: Table, of: Mapping[str, str], files: Mapping[str, ObjectRef]
) -> None:
    """Which objects this record needs, in place of those that it needed before."""
    connection.execute(delete(table).where(*(table.c[name] == value for name, value in of.items())))
    keys = sorted({ref.key for ref in files.values()})
    if keys:
        connection.execute(insert(table), [{**of, "key": key} for key in keys])


def _found(row: Row[Any] | None, vector_id: str) -> Vector:
    if row is None:
        raise VectorNotFound(f"There is no vector {vector_id}.", field="vector")
    return _vector(row)


def _vector(row: Row[Any]) -> Vector:
    return Vector(
        row.id, row.tenant_id, row.name, row.model, row.model_digest, row.generator_sha256, row.editing_type,
        tuple(row.tags), tuple(row.q_edit), refs_from_dict(row.files), row.facts, row.report, row.job_id,
        row.created_at,
    )  # fmt: skip


def _inversion(row: Row[Any]) -> Inversion:
    return Inversion(
        row.tenant_id, row.digest, refs_from_dict(row.files), row.facts, row.job_id, row.created_at,
        row.picture_sha256,
    )  # fmt: skip
