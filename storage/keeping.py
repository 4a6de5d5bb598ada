"""What a job leaves in the library, written in the transaction that ends it."""

from typing import Any

from sqlalchemy import ColumnElement, Connection

from storage.records import NOTHING_KEPT, Job, Kept


def keep(connection: Connection, into: Any, now: ColumnElement[float], job: Job, kept: Kept) -> None:
    if kept != NOTHING_KEPT:
        raise NotImplementedError
