"""Marks of the garbage collector, as seen by whoever writes a record that names an object."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete

from storage.errors import StorageUnavailable
from storage.tables import MARKS


def unmark(connection: Connection, into: Any, now: ColumnElement[float], keys: Iterable[str]) -> None:
    """These objects are needed from now on. `into`: the dialect's INSERT.

    A mark is locked first, and written for that where there is none: so whoever condemns objects has done so
    before, or sees the record. Raises StorageUnavailable where one is condemned.
    """
    for key in sorted(set(keys)):  # in order: who writes several waits for nobody that waits for it
        row = {"key": key, "marked_at": now, "condemned": False}
        lock = into(MARKS).values(row)
        lock = lock.on_conflict_do_update(index_elements=["key"], set_={"marked_at": MARKS.c.marked_at})
        if connection.execute(lock.returning(MARKS.c.condemned)).scalar_one():
            raise StorageUnavailable("This very file is being removed as garbage: send it once more.")
        connection.execute(delete(MARKS).where(MARKS.c.key == key))
