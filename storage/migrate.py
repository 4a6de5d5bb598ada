"""Bring a database to the tables of this version. Any number of processes may do so at once: one works."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from storage.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = 0x65646974  # "edit"


def migrate(url: str, revision: str = "head") -> None:
    """All in one transaction: a migration that fails leaves nothing behind. Raises StorageUnavailable.

    A database of a newer version is left as it is: its tables hold all that this version needs.
    """
    if revision != "head" or current(url) in (None, *known()):
        _run(url, command.upgrade, revision)


def step_back(url: str, revision: str) -> None:
    """To the tables of an older version; what only newer ones know is lost. Raises StorageUnavailable."""
    _run(url, command.downgrade, revision)


def _run(url: str, what: Callable[[Config, str], None], revision: str) -> None:
    database = Database(url)
    try:
        with database.write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = connection
            what(config, revision)
    finally:
        database.close()


def migrated(url: str) -> bool:
    """Whether the database has the tables of this version, or of a newer one. Raises StorageUnavailable."""
    there = current(url)
    return there is not None and there not in known() - {newest()}


def current(url: str) -> str | None:
    """The revision of a database's tables; None before the first. Raises StorageUnavailable."""
    database = Database(url)
    try:
        with database.read() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        database.close()


def known() -> frozenset[str]:
    """The revisions that this version can bring a database to."""
    return frozenset(script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions())


def newest() -> str:
    """The revision of this version's tables."""
    return str(ScriptDirectory(str(MIGRATIONS)).get_current_head())
