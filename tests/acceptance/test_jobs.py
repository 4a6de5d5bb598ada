"""Jobs as their user sees them: stopped, told of, done again, and never doubled; with the whole service."""

import http.server
import io
import json
import os
import signal
import sys
import threading

import numpy as np
import pytest
from on_a_port import serving
from PIL import Image
from places import finish, until

from editq import Client
from editq.webhooks import verify
from storage.specs import InvertSpec, JobOptions, SampleSpec, Webhook

EDITQ = (sys.executable, "-m", "editq.cli")

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def up(tiny):
    process = tiny.start()
    tiny.until_ready(process)
    yield process
    finish(process, signal.SIGTERM)


@pytest.fixture
def receiver():
    """A server that keeps every call as (headers, body), and answers the first of each id with 500."""
    calls = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen = [headers["webhook-id"] for headers, _ in calls]
            calls.append((dict(self.headers), body))
            self.send_response(204 if self.headers["webhook-id"] in seen else 500)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}/hook", calls


def editq(place, *arguments):
    """What a command prints. It finds the service by the data folder, as its user would."""
    process = place.start((*EDITQ, *arguments))
    said = finish(process)
    assert process.returncode == 0, said
    return said


def picture():
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.slow
def test_an_optimisation_is_stopped_told_of_and_done_again(tiny, up, receiver):
    url, calls = receiver
    hook = JobOptions(webhook=Webhook(url=url, events=("running", "succeeded")))
    with tiny.client() as client:
        image = client.upload_image(picture())["id"]
        job_id = client.submit(InvertSpec(model="tiny", image=image, steps=5000, options=hook))["id"]
        until(lambda: (client.get(job_id)["progress"] or {}).get("step"))
        assert "runs on" in editq(tiny, "jobs", "explain", job_id)
        assert "asked to stop" in editq(tiny, "jobs", "stop", job_id)
        assert "succeeded" in editq(tiny, "jobs", "watch", job_id)
        result = client.get(job_id)["result"]
        assert result["stopped_early"] is True
        assert 0 < result["steps"] < 5000
        assert client.output(job_id, "inverted.png")

        secret = (tiny.path / "webhook_secret").read_text().strip()
        until(lambda: len(calls) == 4)  # each refused once, and sent again
        events = [verify(secret, headers, body) for headers, body in calls]
        assert sorted(event["type"] for event in events) == ["job.running"] * 2 + ["job.succeeded"] * 2
        assert len({headers["webhook-id"] for headers, _ in calls}) == 2
        until(lambda: {call["status"] for call in client.deliveries(job_id)} == {"delivered"})

        again = editq(tiny, "jobs", "retry", job_id).strip()
        assert client.get(again)["retry_of"] == job_id
        editq(tiny, "jobs", "cancel", again)
        assert client.wait(again, timeout_s=60)["status"] == "canceled"
        listed = json.loads(editq(tiny, "jobs", "list", "--json"))
        assert [job["id"] for job in listed] == [again, job_id]


@pytest.mark.slow
def test_a_paused_queue_and_a_drained_worker_keep_jobs_waiting_and_say_so(tiny, up):
    with tiny.client() as client:
        editq(tiny, "queues", "pause")
        job_id = client.submit(SampleSpec(model="tiny"))["id"]
        assert "is paused" in editq(tiny, "jobs", "explain", job_id)
        (worker,) = [each["name"] for each in client.workers() if each["queue"] == "gpu"]
        assert "draining" in editq(tiny, "workers", "drain", worker)
        editq(tiny, "queues", "resume")
        assert "told to take nothing" in editq(tiny, "jobs", "explain", job_id)
        assert client.get(job_id)["status"] == "queued"
        editq(tiny, "workers", "undrain", worker)
        assert client.wait(job_id, timeout_s=60)["status"] == "succeeded"


def test_submits_while_the_api_is_killed_make_each_job_once(tiny, up):
    ids = []
    with Client(tiny.folder.running_address(), retry_s=120.0) as client:

        def submit():
            for seed in range(30):
                ids.append(client.submit(SampleSpec(model="tiny", seed=seed))["id"])

        submitting = threading.Thread(target=submit)
        submitting.start()
        until(lambda: len(ids) >= 5)
        os.kill(tiny.folder.read()["processes"]["api"]["pid"], signal.SIGKILL)
        submitting.join(180)
        assert len(set(ids)) == 30
        assert client.wait(ids[-1], timeout_s=120)["status"] == "succeeded"
        kept = list(client.jobs())
        assert sorted(job["id"] for job in kept) == sorted(ids)
        assert sorted(job["spec"]["seed"] for job in kept) == list(range(30))
