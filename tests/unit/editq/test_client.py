"""The client against the real API over memory stores, in this process."""

import io

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow

from api.app import create_app
from editq import Client
from editq.client import error_for
from storage import errors
from storage.memory import memory_stores
from storage.objects import output_key
from storage.records import LOCAL_TENANT, SYSTEM_TENANT, Model, ObjectRef, Part, new_id
from storage.settings import Settings
from storage.specs import InvertSpec, SampleSpec


@pytest.fixture
def stores():
    stores = memory_stores()
    part = Part(0, "sky", (1, 2, 3))
    weights = ObjectRef("system/models/cars/d/generator.safetensors", "a" * 64, 3, "application/octet-stream")
    model = Model(new_id(), SYSTEM_TENANT, "cars", "d" * 64, 16, (part,), {}, {"generator": weights}, {}, 0.0)
    stores.library.put_model(model)
    return stores


@pytest.fixture
def client(stores):
    app = create_app(Settings(), stores, lambda queue, job_id: None)
    with Client("http://127.0.0.1", transport=httpx.WSGITransport(app)) as client:
        yield client


@pytest.fixture
def claim(stores):
    return lambda: stores.jobs.claim("gpu", "worker", lease_s=30)


def png():
    stream = io.BytesIO()
    Pillow.fromarray(np.zeros((20, 30, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def test_upload_submit_and_cancel(client, tmp_path):
    path = tmp_path / "a car.png"
    path.write_bytes(png())
    image = client.upload_image(path)
    assert (image["width_px"], image["height_px"], image["filename"]) == (30, 20, "a car.png")
    job = client.submit(InvertSpec(image=image["id"], steps=3))
    assert (job["status"], job["queue_position"]) == ("queued", 0)
    assert client.cancel(job["id"])["status"] == "canceled"
    assert client.wait(job["id"])["status"] == "canceled"
    with pytest.raises(errors.JobEnded):
        client.cancel(job["id"])


def test_models(client):
    assert [model["name"] for model in client.models()] == ["cars"]
    assert client.model("cars")["resolution_px"] == 16


def test_outputs_come_back_as_they_were(client, stores, claim):
    job = client.submit(SampleSpec())
    claimed = claim()
    ref = stores.objects.put(output_key(LOCAL_TENANT, job["id"], 1, "picture_000.png"), png(), "image/png")
    stores.jobs.succeed(claimed, {"picture_000.png": ref}, {"seconds": 1.0})
    assert client.output(job["id"], "picture_000.png") == png()
    with pytest.raises(errors.OutputNotFound):
        client.output(job["id"], "nothing.png")


def test_a_problem_becomes_the_error_of_its_code(client):
    with pytest.raises(errors.UnreadablePicture):
        client.upload_image(b"no picture")
    with pytest.raises(errors.JobNotFound):
        client.get("0" * 32)
    with pytest.raises(errors.EditqError) as caught:
        client.submit(InvertSpec(image="0" * 32))
    assert caught.value.field == "image"


def test_a_code_of_a_newer_service_is_kept():
    error = error_for("quota_used_up", "Come back tomorrow.", status=429, field=None, expected=None)
    assert isinstance(error, errors.EditqError)
    assert (error.code, error.status, str(error)) == ("quota_used_up", 429, "Come back tomorrow.")


def test_events_are_replayed_from_where_the_reader_was(client, stores, claim):
    job = client.submit(SampleSpec())
    stores.jobs.succeed(claim(), {}, {})
    events = list(client.events(job["id"]))
    assert events[-1].type == "succeeded"
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert list(client.events(job["id"], after=1)) == events[1:]
    assert list(client.events(job["id"], after=len(events))) == []


def test_following_ends_with_the_ended_job(client, stores, claim):
    job = client.submit(SampleSpec())
    updates = client.follow(job["id"])
    assert next(updates)["status"] == "queued"
    stores.jobs.succeed(claim(), {}, {"seconds": 2.0})
    last = list(updates)[-1]
    assert (last["status"], last["result"]["seconds"]) == ("succeeded", 2.0)


def test_waiting_has_an_end(client):
    job = client.submit(SampleSpec())
    with pytest.raises(TimeoutError, match="still queued"):
        client.wait(job["id"], timeout_s=0.1)


def test_a_service_that_is_not_there_is_unavailable():
    with Client("http://127.0.0.1:9") as client, pytest.raises(errors.Unavailable, match="does not answer"):
        client.models()


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, "<html>"), (200, "[]"), (404, "<html>"), (404, '{"detail": "no code"}'), (502, "")],
)
def test_something_that_is_no_editq_service(status, body):
    transport = httpx.MockTransport(lambda request: httpx.Response(status, text=body))
    with Client("http://example.org", transport=transport) as client, pytest.raises(errors.EditqError):
        client.model("cars")


@pytest.mark.parametrize(
    ("address", "environment_trusted"),
    [
        ("http://127.0.0.1:1", False),
        ("http://localhost", False),
        ("http://[::1]:1", False),
        ("http://x.org", True),
    ],
)
def test_proxies_are_never_asked_for_the_loopback(address, environment_trusted):
    with Client(address) as client:
        assert client._http.trust_env is environment_trusted
