"""One door to the database, SQLite or PostgreSQL: short transactions, its own clock, named errors.

SQLite is opened with WAL, synchronous=FULL and a busy timeout; a writing transaction begins with BEGIN
IMMEDIATE, so that it waits for its turn at the start and cannot fail in the middle for having read first.
PostgreSQL runs at READ COMMITTED; who decides by what a row says locks that row first (FOR UPDATE).
"""

import contextlib
import os
import re
import select
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Engine,
    and_,
    create_engine,
    event,
    literal_column,
    or_,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from storage.errors import NotMigrated, StorageFull, StorageUnavailable
from storage.meters import observed

BUSY_TIMEOUT_S = 15.0
_TRUSTED_S = 1.0  # for so long after it answered, a connection is taken to be alive
_RESTS_SINCE = "editq_rests_since"
_THEN = "editq_after_commit"
_CLOCKS = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",  # 3.40 has no unixepoch('subsec')
    "postgresql": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS double precision)",
}
_SQLITE_LACKS = re.compile(r"no such (table|column)|has no column named")
# A single SELECT needs no transaction: no lock is taken, and nothing can be left open.
_READER: dict[str, dict[str, Any]] = {
    "sqlite": {"editq_reader": True},  # SQLAlchemy's AUTOCOMMIT would switch the driver's own BEGINs on again
    "postgresql": {"isolation_level": "AUTOCOMMIT"},
}


class Database:
    """Safe for threads, and for processes that are forked after it was opened."""

    def __init__(self, url: str) -> None:
        self.url = normal_url(url)
        self.engine = _sqlite(self.url) if self.url.get_backend_name() == "sqlite" else _postgresql(self.url)
        self.now: ColumnElement[float] = literal_column(_CLOCKS[self.engine.dialect.name], Double())
        self._reader = self.engine.execution_options(**_READER[self.engine.dialect.name])
        _forget_connections_after_fork(self.engine)

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """One short transaction. Raises StorageUnavailable when the database does not answer, or is
        not migrated."""
        with observed("database", "write"), _named_errors(), self.engine.begin() as connection:
            then: list[Callable[[], None]] = []
            connection.info[_THEN] = then
            yield connection
        for call in then:
            call()

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """For single SELECTs, each of which sees what was committed before it."""
        with observed("database", "read"), _named_errors(), self._reader.connect() as connection:
            yield connection

    def close(self) -> None:
        self.engine.dispose()


def after_commit(connection: Connection, call: Callable[[], None]) -> None:
    """Have this called once the transaction of `Database.write` is committed, and not otherwise."""
    connection.info[_THEN].append(call)


def normal_url(url: str) -> URL:
    """Plain postgres:// and postgresql:// mean psycopg; other databases are refused (ValueError)."""
    parsed = make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise ValueError(f"database must be sqlite or postgresql+psycopg, not {parsed.drivername}")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ValueError("an SQLite database must be a file: several processes share it")
    return parsed


def before(columns: Any, created_at: float, row_id: str) -> ColumnElement[bool]:
    """Rows older than this place, in the one order that lists and queues share: (created_at, id)."""
    return or_(columns.created_at < created_at, and_(columns.created_at == created_at, columns.id < row_id))


@contextlib.contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        if isinstance(error, OperationalError) and _is_full(error.orig):
            raise StorageFull("The database's disk is full.") from error
        _refuse_old_tables(error)
        raise StorageUnavailable("The database does not answer.") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StorageUnavailable("The connection to the database was lost.") from error
        _refuse_old_tables(error)
        raise


def _is_full(error: BaseException | None) -> bool:
    """By SQLite's result code, or PostgreSQL's SQLSTATE disk_full."""
    code = getattr(error, "sqlite_errorcode", None) or getattr(error, "sqlstate", None)
    return code in (sqlite3.SQLITE_FULL, "53100")


def _refuse_old_tables(error: DBAPIError | PoolTimeoutError) -> None:
    """Raises NotMigrated for a table or column that there is not: by PostgreSQL's SQLSTATE undefined_table or
    undefined_column; SQLite has words alone."""
    met = getattr(error, "orig", None)
    lacks = getattr(met, "sqlstate", None) in ("42P01", "42703")
    if lacks or (isinstance(met, sqlite3.OperationalError) and _SQLITE_LACKS.search(str(met))):
        raise NotMigrated(
            "The database has not the tables of this version.",
            expected="a run of `python -m workers.release`",
        ) from error


def _postgresql(url: URL) -> Engine:
    # A frozen server must not hold a caller: a pause of 10 s on the wire ends the connection.
    wire = {
        "connect_timeout": 5,
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "application_name": "editq",
    }
    connect_args = {name: value for name, value in wire.items() if name not in url.query}
    engine = create_engine(url, connect_args=connect_args, pool_size=5, max_overflow=15, pool_timeout=5)

    @event.listens_for(engine, "checkin")
    def _rests(_connection: Any, record: Any) -> None:
        record.info[_RESTS_SINCE] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _ask_whether_it_lives(connection: Any, record: Any, _fairy: Any) -> None:
        """pool_pre_ping, save for what answered a moment ago and has said nothing since: a server that closes
        a connection does. If it does not live, the pool begins anew."""
        rested_s = time.monotonic() - record.info.get(_RESTS_SINCE, time.monotonic())
        if rested_s < _TRUSTED_S and not _has_news(connection.fileno()):
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    return engine


def _has_news(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _sqlite(url: URL) -> Engine:
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_TIMEOUT_S},
        pool_size=5,
        max_overflow=15,
        pool_timeout=BUSY_TIMEOUT_S,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins no transactions of its own
        _switch_to_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if not connection.get_execution_options().get("editq_reader"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """SQLite does not wait by itself when two processes switch a new database at once."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _forget_connections_after_fork(engine: Engine) -> None:
    """A child must not speak on its parent's connections, nor close them."""
    kept = weakref.ref(engine)

    def forget() -> None:
        inherited = kept()
        if inherited is not None:
            inherited.dispose(close=False)

    os.register_at_fork(after_in_child=forget)
