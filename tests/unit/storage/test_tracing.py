"""Traces: ids handed on without the extra, spans with it."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from storage import tracing
from storage.settings import Settings
from storage.tracing import configure_tracing, span, traceparent, valid

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def ids(found: str | None) -> tuple[str, str]:
    assert found is not None
    _, trace_id, span_id, _ = found.split("-")
    return trace_id, span_id


def test_spans_within_a_span_are_of_its_trace() -> None:
    with span("outer"):
        outer = ids(traceparent())
        with span("inner"):
            inner = ids(traceparent())
    assert outer[0] == inner[0]
    assert outer[1] != inner[1]
    assert traceparent() is None


def test_a_parent_from_outside_is_gone_on_with_if_it_is_one() -> None:
    with span("x", GIVEN):
        assert ids(traceparent())[0] == GIVEN.split("-")[1]
    for bad in (
        None,
        "",
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        GIVEN + "x",
        "01" + GIVEN[2:],
        "x" * 9999,
    ):
        assert valid(bad) is None
        with span("x", bad):
            assert ids(traceparent())[0] != GIVEN.split("-")[1]


def test_nothing_of_opentelemetry_is_loaded_where_it_is_not_asked_for() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from storage.settings import Settings\n"
        "from storage.tracing import configure_tracing, span, traceparent\n"
        "configure_tracing(Settings(), 'x')\n"
        "with span('a', job='b') as told: told['c'] = 1; assert traceparent()\n"
        "try: configure_tracing(Settings(traces_url='http://127.0.0.1:1/v1/traces'), 'x')\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "EDITQ_TRACES_URL is set: install editq[tracing]"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Any]]:
    """What was told of the spans that have ended, by name."""
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    exporter = memory.InMemorySpanExporter()
    monkeypatch.setattr(tracing, "_tracer", None)
    tracing.tell_spans(exporter, "test", at_once=True)
    return lambda: {each.name: each for each in exporter.get_finished_spans()}


def test_spans_are_told_with_their_parents_and_attributes(spans: Callable[[], dict[str, Any]]) -> None:
    with span("request", GIVEN, kind="server") as told:
        kept = traceparent()
        told["status"] = 202
    with span("attempt", kept, kind="consumer", job_id="j"), span("load"):
        pass
    found = spans()
    assert {f"{each.context.trace_id:032x}" for each in found.values()} == {GIVEN.split("-")[1]}
    assert found["attempt"].parent.span_id == found["request"].context.span_id
    assert found["load"].parent.span_id == found["attempt"].context.span_id
    assert f"{found['request'].parent.span_id:016x}" == GIVEN.split("-")[2]
    assert found["request"].attributes["editq.status"] == 202
    assert found["attempt"].attributes["editq.job_id"] == "j"
    assert found["attempt"].kind.name == "CONSUMER"
    assert found["load"].resource.attributes["service.name"] == "test"


def test_a_span_that_an_error_leaves_is_marked(spans: Callable[[], dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="bad"), span("fails"):
        raise ValueError("bad")
    assert spans()["fails"].status.status_code.name == "ERROR"


def test_no_collector_no_tracer() -> None:
    before = tracing._tracer
    configure_tracing(Settings(), "x")
    assert tracing._tracer is before
