"""Bring a database to the tables of this version. Any number of processes may do so at once: one works."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from storage.database import Database

_ADVISORY_LOCK = 0x65646974  # "edit"


def migrate(url: str, revision: str = "head") -> None:
    """All in one transaction: a migration that fails leaves nothing behind. Raises StorageUnavailable."""
    database = Database(url)
    try:
        with database.write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        database.close()
