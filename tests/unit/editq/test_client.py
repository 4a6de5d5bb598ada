"""The client against the real API over memory stores, in this process."""

import io

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow

from api.app import create_app
from api.errors import walk
from editq import Client
from editq.problems import error_for
from storage import errors
from storage.library_records import Model, Part
from storage.memory import memory_stores
from storage.objects import output_key
from storage.records import LOCAL_TENANT, SYSTEM_TENANT, ObjectRef, Priority, new_id
from storage.settings import Settings
from storage.specs import InvertSpec, JobOptions, SampleSpec, Webhook
from storage.version import code_version


@pytest.fixture
def stores():
    stores = memory_stores()
    part = Part(0, "sky", (1, 2, 3))
    weights = ObjectRef("system/models/cars/d/generator.safetensors", "a" * 64, 3, "application/octet-stream")
    model = Model(new_id(), SYSTEM_TENANT, "cars", "d" * 64, 16, (part,), {}, {"generator": weights}, {}, 0.0)
    stores.library.put_model(model)
    return stores


@pytest.fixture
def app(stores):
    secret = "whsec_" + "c2VjcmV0" * 5
    return create_app(Settings(webhook_secret=secret), stores, lambda queue, job_id: None)


@pytest.fixture
def client(app):
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


def test_an_optimisation_is_stopped_put_first_explained_and_done_again(client, stores, claim):
    options = JobOptions(priority=Priority.BULK, finish_within_s=60)
    job = client.submit(SampleSpec(), options=options)
    same = client.submit({"kind": "sample"}, options=options)
    assert (same["spec"], same["priority"]) == (job["spec"], job["priority"])
    assert (job["priority"], job["finish_by"] is not None) == ("bulk", True)
    assert client.set_priority(job["id"], "interactive")["priority"] == "interactive"
    with pytest.raises(errors.NothingToStop):
        client.stop(job["id"])
    claimed = claim()
    assert client.stop(job["id"])["stop_requested"] is True
    with pytest.raises(errors.JobNotEnded):
        client.retry(job["id"])
    assert "stop_requested" in [reason["code"] for reason in client.explain(job["id"])["reasons"]]
    stores.jobs.fail(claimed, {"code": "non_finite", "detail": "..."})
    assert [event["type"] for event in client.history(job["id"])][-1] == "failed"
    assert len(client.history(job["id"], after=2)) == len(client.history(job["id"])) - 2
    again = client.retry(job["id"])
    assert (again["retry_of"], again["priority"]) == (job["id"], "interactive")


def test_all_jobs_are_listed_page_after_page(client):
    ids = [client.submit(SampleSpec(seed=seed))["id"] for seed in range(105)]
    assert [job["id"] for job in client.jobs()] == ids[::-1]
    assert [job["id"] for job in client.jobs(limit=3)] == ids[:-4:-1]
    assert [job["id"] for job in client.jobs(limit=102)] == ids[:2:-1]
    assert list(client.jobs(status="failed")) == []


def test_queues_and_workers_are_paused_and_drained(client, stores):
    stores.progress.present({"name": "host:1:gpu", "queue": "gpu"}, ttl_s=60)
    assert client.pause("gpu")["paused"] is True
    assert [queue["paused"] for queue in client.queues()] == [True]
    assert client.resume("gpu")["paused"] is False
    assert client.drain("host:1:gpu")["state"] == "draining"
    assert client.undrain("host:1:gpu")["state"] == "ready"
    assert [worker["name"] for worker in client.workers()] == ["host:1:gpu"]
    with pytest.raises(errors.NotFound):
        client.drain("host:2:gpu")


def test_deliveries_are_listed_and_sent_again(client, stores):
    hook = Webhook(url="https://example.org/x", events=("canceled",))
    job = client.submit(SampleSpec(), options=JobOptions(webhook=hook))
    client.cancel(job["id"])
    (delivery,) = client.deliveries(job["id"])
    assert (delivery["status"], delivery["type"]) == ("pending", "job.canceled")
    (due,) = stores.outbox.due(lease_s=30)
    stores.outbox.delivered(due)
    assert client.resend(job["id"], delivery["id"])["status"] == "pending"


class Unreliable(httpx.BaseTransport):
    """Passes requests on, but loses answers: to an error of the wire, or to the status of some proxy."""

    def __init__(self, inner, losses):
        self._inner = inner
        self._losses = list(losses)
        self.keys = []

    def handle_request(self, request):
        self.keys.append(request.headers.get("Idempotency-Key"))
        answer = self._inner.handle_request(request)
        if not self._losses:
            return answer
        loss = self._losses.pop(0)
        if isinstance(loss, int):
            return httpx.Response(loss, text="busy")
        raise loss


@pytest.mark.thorough
@pytest.mark.parametrize(
    "loss", [httpx.ReadTimeout("lost"), httpx.ReadError("reset"), httpx.ConnectError("away"), 502, 503]
)
def test_a_submit_whose_answer_was_lost_is_sent_again_and_never_makes_two_jobs(app, stores, loss):
    wire = Unreliable(httpx.WSGITransport(app), [loss, loss])
    with Client("http://127.0.0.1", transport=wire) as client:
        job = client.submit(SampleSpec())
        assert len(set(wire.keys)) == 1
        assert len(wire.keys) == 3
        assert [kept.id for kept in stores.jobs.list("local").items] == [job["id"]]
        assert client.submit(SampleSpec())["id"] != job["id"]  # asked for twice, it is two jobs


@pytest.mark.thorough
def test_a_batch_whose_answer_was_lost_is_one_batch_and_so_is_its_retry(app, stores):
    wire = Unreliable(httpx.WSGITransport(app), [httpx.ReadTimeout("lost"), 503])
    with Client("http://127.0.0.1", transport=wire) as client:
        batch = client.submit_batch({"kind": "invert"}, {"type": "prefix"}, options={"priority": "standard"})
        assert (len(wire.keys), len(set(wire.keys))) == (3, 1)
        assert [kept.id for kept in stores.batches.list("local").items] == [batch["id"]]
        with pytest.raises(errors.BatchNotEnded):
            client.retry_batch(batch["id"])


@pytest.mark.thorough
def test_an_upload_that_was_cut_off_is_sent_again(app):
    wire = Unreliable(httpx.WSGITransport(app), [httpx.WriteError("cut off"), 503])
    with Client("http://127.0.0.1", transport=wire) as client:
        assert client.upload_image(png())["width_px"] == 30
    assert len(wire.keys) == 3


def test_a_key_of_ones_own_names_one_job(client):
    first = client.submit(SampleSpec(seed=1), idempotency_key="order-17")
    assert client.submit(SampleSpec(seed=1), idempotency_key="order-17")["id"] == first["id"]
    with pytest.raises(errors.KeyReused):
        client.submit(SampleSpec(seed=2), idempotency_key="order-17")


def test_trying_again_has_an_end_and_is_not_for_what_is_wrong(app):
    wire = Unreliable(httpx.WSGITransport(app), [503] * 99)
    with Client("http://127.0.0.1", transport=wire, retry_s=0.5) as client:
        with pytest.raises(errors.Unavailable):
            client.submit(SampleSpec())
        assert 1 < len(wire.keys) < 10
    wire = Unreliable(httpx.WSGITransport(app), [])
    with Client("http://127.0.0.1", transport=wire) as client, pytest.raises(errors.ModelNotFound):
        client.submit(SampleSpec(model="boats"))
    assert len(wire.keys) == 1


@pytest.mark.thorough
@pytest.mark.parametrize("code", ["too_busy", "too_many_requests"])
def test_a_read_that_was_turned_away_is_asked_again_and_a_change_is_not(app, code):
    kind = {kind.code: kind for kind in walk()}[code]
    inside, asked = httpx.WSGITransport(app), []

    def answer(request):
        asked.append(request.method)
        if len(asked) % 3:
            refusal = {"code": code, "detail": "Too many.", "status": kind.status}
            return httpx.Response(kind.status, json=refusal, headers={"Retry-After": "1"})
        return inside.handle_request(request)

    with Client("http://127.0.0.1", transport=httpx.MockTransport(answer)) as client:
        assert list(client.jobs()) == []
        assert asked == ["GET"] * 3
        with pytest.raises(kind):
            client.cancel("a" * 32)
    assert asked[3:] == ["POST"]


def test_an_address_that_is_none_is_not_tried_again():
    with Client("localhost") as client, pytest.raises(errors.InvalidInput):
        client.submit(SampleSpec())


def test_waiting_has_an_end(client):
    job = client.submit(SampleSpec())
    with pytest.raises(TimeoutError, match="still queued"):
        client.wait(job["id"], timeout_s=0.1)


@pytest.mark.thorough
def test_who_waits_waits_on_while_the_service_is_away(app):
    inside, away = httpx.WSGITransport(app), []

    def answer(request):
        if request.method == "GET" and len(away) < 3:
            away.append(request.url.path)
            raise httpx.ReadError("Connection reset by peer", request=request)
        return inside.handle_request(request)

    with Client("http://127.0.0.1", transport=httpx.MockTransport(answer), retry_s=10) as client:
        job = client.submit(SampleSpec())
        client.cancel(job["id"])
        assert client.wait(job["id"])["status"] == "canceled"
        assert away == [f"/v1/jobs/{job['id']}"] * 3
        away.clear()
        with pytest.raises(errors.Unavailable):
            client.wait(job["id"], timeout_s=0.1)
        assert len(away) == 1
        away.clear()
        with pytest.raises(errors.Unavailable):
            client.get(job["id"])


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


def test_a_service_of_another_version_is_named_where_it_refuses_what_it_may_not_know(app, monkeypatch):
    with Client("http://127.0.0.1", transport=httpx.WSGITransport(app)) as client:
        with pytest.raises(errors.NotFound) as same:
            client._json("GET", "/v1/of-the-next-version")
        monkeypatch.setattr("editq.problems.code_version", lambda: "7.0")
        with pytest.raises(errors.NotFound, match=rf"service is editq {code_version()}, this is 7\.0"):
            client._json("GET", "/v1/of-the-next-version")
        with pytest.raises(errors.ModelNotFound) as other:
            client.model("nope")
    assert "editq" not in str(same.value) + str(other.value)


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
