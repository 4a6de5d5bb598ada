"""A disk that is full has an error of its own, wherever it shows."""

import errno
import io
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from storage.database import Database
from storage.errors import StorageFull, StorageUnavailable
from storage.objects import FileObjects


class Spool(io.BytesIO):
    """Reading it fails as writing to a full disk does."""

    def read(self, size: int | None = -1) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_of_objects(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path)
    with pytest.raises(StorageFull):
        objects.put("local/images/a", Spool(), "image/png")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_of_a_database_file(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'small.db'}")

    @event.listens_for(database.engine, "connect")
    def small(connection: sqlite3.Connection, _record: Any) -> None:
        connection.execute("PRAGMA max_page_count = 10")

    with database.write() as connection:
        connection.execute(text("CREATE TABLE words (word TEXT)"))
    with pytest.raises(StorageFull), database.write() as connection:
        connection.execute(text("INSERT INTO words VALUES (:word)"), {"word": "x" * 100_000})
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM words")).scalar_one() == 0
    database.close()


def test_another_trouble_of_a_database_is_none_of_it(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'small.db'}")
    with pytest.raises(StorageUnavailable) as raised, database.read() as connection:
        connection.execute(text("SELECT * FROM nothing"))
    assert not isinstance(raised.value, StorageFull)
    database.close()
