"""In which trace something happens: a W3C traceparent, handed from a request to a job's row to its worker.

Spans are told to a collector where the extra `tracing` is installed and EDITQ_TRACES_URL names one; without
either, the ids are made and handed on all the same, so that logs can be read across processes.
"""

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

    from storage.settings import Settings

Kind = Literal["internal", "server", "client", "producer", "consumer"]
_SHAPE = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)
_tracer: "Tracer | None" = None


def traceparent() -> str | None:
    """Of what happens now in this thread; None outside of every span."""
    return _current.get()


def valid(given: str | None) -> str | None:
    """A traceparent from outside, if it is one."""
    return given if given is not None and _SHAPE.fullmatch(given) else None


@contextmanager
def span(
    name: str, parent: str | None = None, *, kind: Kind = "internal", **attributes: str | int | float
) -> Iterator[dict[str, Any]]:
    """A piece of work, in the trace of `parent`, or of what happens now, or a new one. An exception that
    leaves it marks it as failed. What is put into the dict becomes attributes at its end."""
    above = valid(parent) or _current.get()
    more: dict[str, Any] = {}
    if _tracer is None:
        with _within(_child_of(above)):
            yield more
        return
    from opentelemetry import propagate, trace

    context = propagate.extract({"traceparent": above} if above else {})
    told = {f"editq.{key}": value for key, value in attributes.items()}
    of_kind = trace.SpanKind[kind.upper()]
    with _tracer.start_as_current_span(name, context, kind=of_kind, attributes=told) as current:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        with _within(carrier["traceparent"]):
            yield more
        current.set_attributes({f"editq.{key}": value for key, value in more.items()})


def configure_tracing(settings: "Settings", service: str) -> None:
    """For a process of our own. Does nothing where no collector is named. Raises ImportError where the extra
    is not installed, and says so."""
    if settings.traces_url is None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise ImportError("EDITQ_TRACES_URL is set: install editq[tracing]") from error
    told = {name: value.get_secret_value() for name, value in settings.traces_headers.items()}
    tell_spans(OTLPSpanExporter(endpoint=settings.traces_url, headers=told), service)


def tell_spans(exporter: "SpanExporter", service: str, *, at_once: bool = False) -> None:
    """From now on, in batches from a thread, or (tests) each as it ends."""
    global _tracer
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    from storage.version import code_version

    facts: Mapping[str, str] = {"service.name": service, "service.version": code_version()}
    provider = TracerProvider(resource=Resource.create(dict(facts)))
    provider.add_span_processor(SimpleSpanProcessor(exporter) if at_once else BatchSpanProcessor(exporter))
    _tracer = provider.get_tracer("editq")


def _child_of(above: str | None) -> str:
    trace_id = above.split("-")[1] if above else secrets.token_hex(16)
    return f"00-{trace_id}-{secrets.token_hex(8)}-01"


@contextmanager
def _within(current: str) -> Iterator[None]:
    token = _current.set(current)
    try:
        yield
    finally:
        _current.reset(token)
