"""How every process logs: one JSON object a line, or a form for people where a terminal reads it.

Each line tells of what it happened in: request, job, attempt, tenant, trace (`about`). Secrets are blotted
out of the finished line, whoever wrote it: those of the settings wherever they stand, others by their shape.
"""

import json
import logging
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from storage.records import Job
from storage.settings import Settings
from storage.tracing import traceparent

FACTS = ("request_id", "tenant_id", "job_id", "kind", "attempt", "trace_id", "span_id")
EXTRAS = (
    *("method", "path", "route", "status", "milliseconds"),
    *("actor", "action", "object", "key_id", "peer"),
)
BLOT = "[secret]"
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode
SHORTEST_SECRET = 4
_SHAPES = (
    re.compile(r"(?<=://)([^/\s:@\"']*:)[^/\s@\"']+(?=@)"),  # a password in a URL
    re.compile(r"(authorization[\"']?\s*[:=]\s*[\"']?)(?:bearer\s+|basic\s+)?[^\s\"',;}]+", re.IGNORECASE),
    re.compile(r"()\bbearer\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE),
    re.compile(r"(editq_[a-z2-7]{12}_)[A-Za-z0-9_-]{20,}"),  # an API key, less the prefix that names it
    re.compile(r"()whsec_[A-Za-z0-9+/=]{8,}"),
    re.compile(
        r"([?&](?:x-amz-[a-z-]+|signature|token|ticket|key|secret|password)=)[^&\s\"']+", re.IGNORECASE
    ),
)
_SUSPECT = re.compile(r"://|authorization|bearer|editq_|whsec_|[?&]", re.IGNORECASE)  # of every shape, a part
_about: ContextVar[dict[str, Any] | None] = ContextVar("about", default=None)


@contextmanager
def about(**facts: Any) -> Iterator[None]:
    """Lines of this thread tell these from now on, until it is left; those known before, too."""
    token = _about.set({**(_about.get() or {}), **facts})
    try:
        yield
    finally:
        _about.reset(token)


def about_job(job: Job) -> AbstractContextManager[None]:
    return about(job_id=job.id, kind=job.kind, attempt=job.attempt, tenant_id=job.tenant_id)


def note(**facts: Any) -> None:
    """More of what the `about` around is about."""
    known = _about.get()
    if known is not None:
        known |= facts


class Blotter:
    """Blots out what nobody may read in a log."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        longest_first = sorted(
            {each for each in secrets if len(each) >= SHORTEST_SECRET}, key=len, reverse=True
        )
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(BLOT, text)
        for shape in _SHAPES if _SUSPECT.search(text) else ():
            text = shape.sub(rf"\g<1>{BLOT}", text)
        return text


class _Lines(logging.Formatter):
    def __init__(self, blot: Blotter | None = None) -> None:
        super().__init__()
        self._blot = blot or Blotter()

    def told(self, record: logging.LogRecord) -> dict[str, Any]:
        """What this line tells beside its message; nothing that is not known."""
        facts = dict(_about.get() or {})
        trace = traceparent()
        if trace is not None:
            _, facts["trace_id"], facts["span_id"], _ = trace.split("-")
        facts |= {name: vars(record)[name] for name in (*FACTS, *EXTRAS) if name in vars(record)}
        told = {name: facts[name] for name in (*FACTS, *EXTRAS) if facts.get(name) is not None}
        return {name: self._blot(value) if isinstance(value, str) else value for name, value in told.items()}

    def message(self, record: logging.LogRecord) -> str:
        return self._blot(record.getMessage())

    def trouble(self, record: logging.LogRecord) -> str | None:
        return self._blot(self.formatException(record.exc_info)) if record.exc_info else None


class JsonLines(_Lines):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.message(record),
            **self.told(record),
        }
        if (trouble := self.trouble(record)) is not None:
            line["exception"] = trouble
        return _ENCODE(line)


class TextLines(_Lines):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        told = " ".join(f"{name}={value}" for name, value in self.told(record).items() if name != "span_id")
        line = f"{at} {record.levelname:<7} {record.name}: {self.message(record)}"
        trouble = self.trouble(record)
        return "\n".join([f"{line}  {told}".rstrip(), *([trouble] if trouble else [])])


def configure_logging(settings: Settings) -> None:
    """For a process of our own: everything to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    blot = Blotter(secrets_of(settings))
    handler.setFormatter(JsonLines(blot) if writes_json(settings) else TextLines(blot))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)  # six lines at each import


def writes_json(settings: Settings) -> bool:
    if settings.log_format == "auto":
        return not sys.stderr.isatty()
    return settings.log_format == "json"


def secrets_of(settings: Settings) -> set[str]:
    """What must not be read in any log: passwords within URLs, too."""
    found = [settings.s3_secret_key, settings.webhook_secret]
    found += [bucket.secret_key for bucket in settings.buckets.values()]
    found += settings.traces_headers.values()
    secrets = {secret.get_secret_value() for secret in found if secret is not None}
    for url in (settings.database_url, settings.redis_url):
        password = urlsplit(url).password
        secrets |= {password, unquote(password)} if password else set()
    return secrets
