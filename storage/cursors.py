"""Cursors of lists that run newest first: the place, (created_at, id), after which the next page begins.

A place, not an offset: rows added or deleted meanwhile neither repeat nor hide another row.
"""

import base64
import binascii
import json
import math
from collections.abc import Sequence
from typing import Protocol, TypeVar

from storage.errors import InvalidInput
from storage.records import Page


class Placed(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def created_at(self) -> float: ...


P = TypeVar("P", bound=Placed)


def encode_cursor(item: Placed) -> str:
    place = json.dumps([item.created_at, item.id]).encode()
    return base64.urlsafe_b64encode(place).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[float, str]:
    """Raises InvalidInput, naming the field."""
    try:
        place = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        created_at, item_id = place
        if not (isinstance(created_at, float) and math.isfinite(created_at) and isinstance(item_id, str)):
            raise ValueError("not a place")
        if not (item_id.isascii() and item_id.isalnum()):  # PostgreSQL's text holds no NUL
            raise ValueError("not an id")
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise InvalidInput("This cursor was not made here.", field="cursor", expected="next_cursor") from None
    return created_at, item_id


def page_of(items: Sequence[P], limit: int) -> Page[P]:
    """`items` holds up to limit + 1 of them: one more than fits says that there is a next page."""
    shown = tuple(items[:limit])
    return Page(shown, encode_cursor(shown[-1]) if len(items) > limit else None)
