"""Every backend of every store, by name: a contract test that asks for `jobs` runs once over each."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from servers import S3Server
from sqlalchemy import text
from store_records import Records, memory_records, s3_objects, sql_records

from storage.access import Keys, Limits
from storage.batch_stores import Batches
from storage.database import Database
from storage.memory import MemoryObjects, MemoryProgressBoard
from storage.migrate import migrate
from storage.objects import FileObjects
from storage.progress import RedisProgressBoard
from storage.s3 import S3Objects
from storage.stores import Jobs, Library, Locks, Objects, ProgressBoard
from storage.upkeep import Outbox, Retention

TABLES = (
    *("chunks", "batches", "events", "deliveries", "idempotency_keys", "jobs", "turns", "pauses", "drains"),
    "usage",
    *("marks", "images", "files", "models", "locks"),
    *("api_keys", "tenant_limits"),
    *("vectors", "vector_objects", "inversions", "inversion_objects"),
)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """URL of a migrated SQLite database of the test's own."""
    shutil.copy(migrated_sqlite, tmp_path / "editq.db")
    return f"sqlite:///{tmp_path / 'editq.db'}"


@pytest.fixture(scope="session")
def migrated_postgres(postgres_cluster: str) -> Iterator[Database]:
    name = f"migrated_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_cluster.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    database = Database(postgres_cluster.rpartition("/")[0] + f"/{name}")
    migrate(database.url.render_as_string(hide_password=False))
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated, empty database."""
    if request.param == "sqlite":
        database = Database(request.getfixturevalue("sqlite_url"))
        yield database
        database.close()
        return
    database = request.getfixturevalue("migrated_postgres")
    with database.write() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(TABLES)}"))
    yield database


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def records(request: pytest.FixtureRequest) -> Iterator[Records]:
    if request.param == "memory":
        yield memory_records()
    elif request.param == "sqlite":
        database = Database(request.getfixturevalue("sqlite_url"))
        yield sql_records(database)
        database.close()
    else:
        database = request.getfixturevalue("migrated_postgres")
        with database.write() as connection:
            connection.execute(text(f"TRUNCATE {', '.join(TABLES)}"))
        yield sql_records(database)


@pytest.fixture
def jobs(records: Records) -> Jobs:
    return records.jobs


@pytest.fixture
def limits(records: Records) -> Limits:
    return records.limits


@pytest.fixture
def keys(records: Records) -> Keys:
    return records.keys


@pytest.fixture
def library(records: Records) -> Library:
    return records.library


@pytest.fixture
def batches(records: Records) -> Batches:
    return records.batches


@pytest.fixture
def locks(records: Records) -> Locks:
    return records.locks


@pytest.fixture
def outbox(records: Records) -> Outbox:
    return records.outbox


@pytest.fixture
def retention(records: Records) -> Retention:
    return records.retention


@pytest.fixture(scope="session")
def moto_objects(moto_s3: S3Server) -> S3Objects:
    return s3_objects(moto_s3, moto_s3.new_bucket())


@pytest.fixture(scope="session")
def rclone_objects(rclone_s3: S3Server) -> S3Objects:
    return s3_objects(rclone_s3, rclone_s3.new_bucket())


@pytest.fixture(params=["memory", "files", "moto", "rclone"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "memory":
        return MemoryObjects()
    if request.param == "files":
        return FileObjects(tmp_path / "objects")
    store: S3Objects = request.getfixturevalue(f"{request.param}_objects")
    store.delete(store.list(""))
    return store


@pytest.fixture(params=["memory", "valkey", "redis"])
def board(request: pytest.FixtureRequest) -> Iterator[ProgressBoard]:
    if request.param == "memory":
        yield MemoryProgressBoard()
        return
    url = request.getfixturevalue(f"{request.param}_url")
    board = RedisProgressBoard(url, prefix=f"test-{secrets.token_hex(6)}:")
    yield board
    board.close()
