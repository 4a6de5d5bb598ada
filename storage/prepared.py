"""Statements that are made once and executed with values: to make one takes longer than the database takes to
answer it. Values of rows are plain, or moments on the database's clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Double, Table, bindparam

Names = frozenset[str]


@dataclass(frozen=True, slots=True)
class FromNow:
    """So many seconds from now, on the database's clock: what `now` may be in a Change."""

    seconds: float = 0.0

    def __add__(self, seconds: float) -> "FromNow":
        return FromNow(self.seconds + seconds)


def moments(values: Mapping[str, Any]) -> Names:
    return frozenset(name for name, value in values.items() if isinstance(value, FromNow))


def columns(
    table: Table, now: ColumnElement[float], names: Iterable[str], moments: Names
) -> dict[str, ColumnElement[Any]]:
    """What these columns are set to, to be executed with `parameters`. Part of a statement that is kept."""
    return {
        name: now + bindparam(f"new_{name}", type_=Double())
        if name in moments
        else bindparam(f"new_{name}", type_=table.c[name].type)
        for name in names
    }


def parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"new_{name}": value.seconds if isinstance(value, FromNow) else value
        for name, value in values.items()
    }
