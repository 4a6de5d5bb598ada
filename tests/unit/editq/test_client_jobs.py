"""Jobs in the caller's hands, against the real API over memory stores and a worker that is played here."""

import io
import json
import threading

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow
from safetensors.numpy import save

from api.app import create_app
from editq import Client
from storage import errors
from storage.library_records import Model, Part
from storage.masks import encode_mask
from storage.memory import memory_stores
from storage.objects import output_key
from storage.records import SYSTEM_TENANT, ObjectRef, new_id
from storage.settings import Settings
from storage.specs import SampleSpec

pytestmark = pytest.mark.thorough

PARTS = (Part(0, "sky", (1, 2, 3)), Part(1, "<car>", (9, 9, 9)))
RED = np.full((4, 4, 3), (200, 10, 20), np.uint8)
MASK = np.eye(4, dtype=np.uint8)


@pytest.fixture
def stores():
    stores = memory_stores()
    weights = ObjectRef("system/models/cars/d/generator.safetensors", "a" * 64, 3, "application/octet-stream")
    model = Model(new_id(), SYSTEM_TENANT, "cars", "d" * 64, 16, PARTS, {}, {"generator": weights}, {}, 0.0)
    stores.library.put_model(model)
    return stores


@pytest.fixture
def client(stores):
    app = create_app(Settings(), stores, lambda queue, job_id: None)
    with Client("http://127.0.0.1", transport=httpx.WSGITransport(app)) as client:
        yield client


def png(picture):
    stream = io.BytesIO()
    Pillow.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


def succeed(stores):
    """Do the next job as a worker would; its seed is the figure that it leaves. None where there is none."""
    claim = stores.jobs.claim("gpu", "worker", lease_s=30)
    if claim is None:
        return None
    files = {
        "picture_000.png": (png(RED), "image/png"),
        "mask_000.png": (encode_mask(MASK, PARTS), "image/png"),
        "w_plus.safetensors": (save({"w_plus": np.ones((1, 2, 3), np.float32)}), "application/octet-stream"),
        "two.safetensors": (save({"a": np.ones(2), "b": np.zeros(3)}), "application/octet-stream"),
        "provenance.json": (json.dumps({"kind": "sample"}).encode(), "application/json"),
    }
    job = claim.job
    refs = {
        name: stores.objects.put(output_key(job.tenant_id, job.id, job.attempt, name), *file)
        for name, file in files.items()
    }
    return stores.jobs.succeed(claim, refs, {"seed": job.spec["seed"], "seconds": 1.25})


def test_a_result_comes_as_pictures_and_arrays(client, stores, tmp_path):
    job = client.submit(SampleSpec(seed=7))
    assert (job["status"], job.ended, job.id) == ("queued", False, job["id"])
    succeed(stores)
    result = job.result()
    assert job.ended  # the handle is as new as the last call
    assert result.figures["seed"] == 7
    assert result.picture("picture_000.png").getpixel((0, 0)) == (200, 10, 20)
    assert (result.array("picture_000.png") == RED).all()
    assert (result.array("mask_000.png") == MASK).all()
    assert list(result.pictures) == ["mask_000.png", "picture_000.png"]
    assert result.array("w_plus.safetensors").shape == (1, 2, 3)
    assert set(result.tensors("two.safetensors")) == {"a", "b"}
    assert {path.name for path in result.save(tmp_path / "new")} == set(result.names)
    assert json.loads((tmp_path / "new" / "provenance.json").read_bytes()) == {"kind": "sample"}


@pytest.mark.parametrize(
    ("ask", "wrong"),
    [
        (lambda result: result.picture("nothing.png"), errors.OutputNotFound),
        (lambda result: result.picture("w_plus.safetensors"), errors.InvalidInput),
        (lambda result: result.array("two.safetensors"), errors.InvalidInput),
        (lambda result: result.tensors("provenance.json"), errors.InvalidInput),
    ],
)
def test_asking_a_result_for_what_it_is_not_is_refused_in_words(client, stores, ask, wrong):
    job = client.submit(SampleSpec())
    succeed(stores)
    with pytest.raises(wrong) as caught:
        ask(job.result())
    assert caught.value.field == "name" or "expected" in str(caught.value)


def test_a_failed_or_canceled_job_has_no_result_and_says_why(client, stores):
    failed = client.submit(SampleSpec())
    claim = stores.jobs.claim("gpu", "worker", lease_s=30)
    stores.jobs.fail(claim, {"code": "out_of_memory", "detail": "It needs more room."})
    with pytest.raises(errors.OutOfMemory, match="more room"):
        failed.result()
    lost = client.submit(SampleSpec())
    claim = stores.jobs.claim("gpu", "worker", lease_s=30)
    stores.jobs.fail(claim, {"code": "quarantined", "detail": "Lost again and again."})
    with pytest.raises(errors.Quarantined):
        lost.result()
    canceled = client.submit(SampleSpec())
    assert canceled.cancel()["status"] == "canceled"
    with pytest.raises(errors.JobCanceled):
        canceled.result()
    assert canceled.retry()["retry_of"] == canceled.id


def test_a_running_job_is_stopped_watched_and_waited_for_only_so_long(client, stores):
    job = client.submit(SampleSpec())
    with pytest.raises(TimeoutError):
        job.wait(timeout_s=0.05)
    claim = stores.jobs.claim("gpu", "worker", lease_s=30)
    assert job.refresh()["status"] == "running"
    assert job.stop()["stop_requested"] is True
    stores.jobs.succeed(claim, {}, {})
    assert [event.type for event in job.events()][-1] == "succeeded"
    assert job.result().names == ()


def test_many_jobs_end_in_the_order_of_their_specs_a_few_at_a_time(client, stores):
    most, ended = [], threading.Event()

    def work():
        while not ended.is_set():
            most.append(
                len([job for job in stores.jobs.list("local", limit=100).items if not job.status.ended])
            )
            if succeed(stores) is None:
                ended.wait(0.01)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        specs = ({"kind": "sample", "seed": seed} for seed in range(9))
        assert [job.result().figures["seed"] for job in client.map(specs, at_once=3)] == list(range(9))
    finally:
        ended.set()
        worker.join()
    assert max(most) <= 3


def test_a_map_that_is_left_cancels_what_it_waited_for(client, stores):
    jobs = client.map([SampleSpec(seed=seed) for seed in range(3)], at_once=2)
    threading.Timer(0.2, succeed, [stores]).start()
    first = next(jobs)
    jobs.close()
    states = {job.id: job.status for job in stores.jobs.list("local").items}
    assert states.pop(first.id) == "succeeded"
    assert list(states.values()) == ["canceled"]


def test_a_notebook_shows_a_job_with_its_pictures_and_never_markup_from_outside(client, stores):
    job = client.submit(SampleSpec())
    assert "queued" in job._repr_html_()
    succeed(stores)
    shown = job.wait()._repr_html_()
    assert shown.count('src="data:image/png;base64,') == 2
    assert "1.2 s" in shown
    failed = client.submit(SampleSpec())
    claim = stores.jobs.claim("gpu", "worker", lease_s=30)
    stores.jobs.fail(claim, {"code": "job_failed", "detail": "<script>alert(1)</script>"})
    assert "<script>" not in failed.wait()._repr_html_()
