"""Uploaded files, as records: SQLite and PostgreSQL. created_at is set here, by the database's clock."""

from typing import Any

from sqlalchemy import Row, delete, select

from storage.cursors import decode_cursor, page_of
from storage.database import Database, before
from storage.errors import FileInUse, FileNotFound
from storage.file_records import File
from storage.file_tables import FILES
from storage.marks import unmark
from storage.plain import ref_to_dict, storable
from storage.records import ObjectRef, Page
from storage.rows import open_job_naming


class SqlFiles:
    """The part of SqlLibrary that holds files."""

    _database: Database
    _insert: Any

    def add_file(self, file: File) -> File:
        row = {
            "id": file.id, "tenant_id": file.tenant_id, **ref_to_dict(file.object),
            "filename": storable(file.filename), "created_at": self._database.now,
        }  # fmt: skip
        statement = self._insert(FILES).values(row)
        # An update that changes nothing: a plain "do nothing" would not return the row that is there.
        statement = statement.on_conflict_do_update(
            index_elements=["tenant_id", "sha256"], set_={"sha256": FILES.c.sha256}
        )
        with self._database.write() as connection:
            unmark(connection, self._insert, self._database.now, [file.object.key])
            return _file(connection.execute(statement.returning(FILES)).one())

    def get_file(self, tenant_id: str, file_id: str) -> File:
        query = select(FILES).where(FILES.c.id == file_id, FILES.c.tenant_id == tenant_id)
        with self._database.read() as connection:
            return _found(connection.execute(query).one_or_none(), file_id)

    def list_files(
        self, tenant_id: str, *, sha256: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[File]:
        query = select(FILES).where(FILES.c.tenant_id == tenant_id)
        if sha256 is not None:
            query = query.where(FILES.c.sha256 == sha256)
        if cursor is not None:
            query = query.where(before(FILES.c, *decode_cursor(cursor)))
        query = query.order_by(FILES.c.created_at.desc(), FILES.c.id.desc()).limit(limit + 1)
        with self._database.read() as connection:
            return page_of([_file(row) for row in connection.execute(query)], limit)

    def delete_file(self, tenant_id: str, file_id: str) -> File:
        mine = (FILES.c.id == file_id, FILES.c.tenant_id == tenant_id)
        with self._database.write() as connection:
            row = connection.execute(select(FILES).where(*mine).with_for_update()).one_or_none()
            file = _found(row, file_id)
            for name in names_of(file):
                refuse_in_use(open_job_naming(connection, name, tenant_id))
            connection.execute(delete(FILES).where(*mine))
        return file


def names_of(file: File) -> tuple[str, str]:
    """What a spec may call it by."""
    return file.id, file.object.sha256


def refuse_in_use(job_id: str | None) -> None:
    if job_id is not None:
        raise FileInUse(f"Job {job_id} has not ended and needs this file.")


def _found(row: Row[Any] | None, file_id: str) -> File:
    if row is None:
        raise FileNotFound(f"There is no file {file_id}.")
    return _file(row)


def _file(row: Row[Any]) -> File:
    ref = ObjectRef(row.key, row.sha256, row.byte_size, row.media_type)
    return File(row.id, row.tenant_id, ref, row.filename, row.created_at)
