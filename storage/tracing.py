"""In which trace something happens: a W3C traceparent, handed from a request to a job's row to its worker."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SHAPE = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def traceparent() -> str | None:
    """Of what happens now in this thread; None outside of every span."""
    return _current.get()


def valid(given: str | None) -> str | None:
    """A traceparent from outside, if it is one."""
    return given if given is not None and _SHAPE.fullmatch(given) else None


@contextmanager
def span(parent: str | None = None) -> Iterator[str]:
    """A piece of work, in the trace of `parent`, or of what happens now, or a new one."""
    above = valid(parent) or _current.get()
    trace_id = above.split("-")[1] if above else secrets.token_hex(16)
    token = _current.set(f"00-{trace_id}-{secrets.token_hex(8)}-01")
    try:
        yield str(_current.get())
    finally:
        _current.reset(token)
