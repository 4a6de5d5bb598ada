"""One trace from the request over the row to the worker's phases, as a collector is told of it."""

import faulty
import pytest
from worker_trial import Trial

from api.app import create_app
from storage import tracing
from storage.library_records import Model, Part
from storage.records import SYSTEM_TENANT, ObjectRef, new_id

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def exporter(monkeypatch):
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    found = memory.InMemorySpanExporter()
    monkeypatch.setattr(tracing, "_tracer", None)
    tracing.tell_spans(found, "test", at_once=True)
    return found


def cars() -> Model:
    weights = ObjectRef("system/models/cars/d/generator", "a" * 64, 3, "application/octet-stream")
    part = Part(0, "sky", (0, 0, 255))
    return Model(new_id(), SYSTEM_TENANT, "cars", "d" * 64, 16, (part,), {}, {"generator": weights}, {}, 0.0)


def test_the_workers_spans_are_of_the_requests_trace(trial: Trial, exporter) -> None:
    trial.stores.library.put_model(cars())
    client = create_app(trial.settings, trial.stores, lambda queue, job_id: None).test_client()
    answer = client.post("/v1/jobs", json={"kind": "sample"}, headers={"traceparent": GIVEN})
    assert answer.status_code == 202, answer.text
    assert trial.take(faulty.recipe()) is not None
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert list(spans) == ["POST /v1/jobs", "load", "operate", "save", "attempt sample"]
    assert {f"{span.context.trace_id:032x}" for span in spans.values()} == {GIVEN.split("-")[1]}
    request, attempt = spans["POST /v1/jobs"], spans["attempt sample"]
    assert f"{request.parent.span_id:016x}" == GIVEN.split("-")[2]
    assert attempt.parent.span_id == request.context.span_id
    assert {spans[phase].parent.span_id for phase in ("load", "operate", "save")} == {attempt.context.span_id}
    told = attempt.attributes
    assert (told["editq.job_id"], told["editq.status"]) == (answer.get_json()["id"], "succeeded")
    assert request.attributes["editq.status"] == 202
