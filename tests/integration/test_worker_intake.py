"""A worker that an operator drains: its job goes back, it takes no message, and undrained it works again."""

import time
from collections.abc import Iterator

import pytest
from worker_plant import Plant, gpu, upload_noise

from storage.records import GPU_QUEUE, Status
from workers.presence import worker_name

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory, valkey_url: str) -> Iterator[Plant]:
    with Plant.opened(tmp_path_factory.mktemp("intake"), valkey_url) as plant:
        yield plant


@pytest.mark.slow
def test_a_drained_worker_leaves_messages_to_others_and_comes_back(plant: Plant) -> None:
    job = plant.submit("invert", image=upload_noise(plant), steps=5000)
    plant.under_way(job)
    worker = gpu(plant)
    name = worker_name(GPU_QUEUE, worker.process.pid)
    plant.stores.jobs.drain(name, True)
    plant.until(lambda: plant.get(job).status is Status.QUEUED, "the job put back")
    drained = plant.get(job)
    assert (drained.drains, drained.failures, drained.lost) == (1, 0, 0)
    assert drained.checkpoint is not None
    plant.until(lambda: "no more messages of gpu" in worker.output(), "the shutting of its intake")
    plant.until(lambda: plant.bell.waiting(GPU_QUEUE), "a ring for whoever comes")
    received, until = worker.output().count("received"), time.monotonic() + 2.0
    while time.monotonic() < until:  # many passes of housekeeping
        assert plant.bell.waiting(GPU_QUEUE) in (1, 2)  # the worker's own, and housekeeping's meanwhile
        assert plant.get(job).attempt == 1
        time.sleep(0.1)
    assert worker.output().count("received") == received
    plant.stores.jobs.drain(name, False)
    plant.until(lambda: plant.get(job).attempt == 2, "its next attempt")
    assert plant.get(job).worker == name
    plant.stores.jobs.request_cancel("local", job.id)
    plant.stores.progress.notice_cancel(job.id)
    assert plant.ended(job).status is Status.CANCELED


@pytest.mark.slow
def test_another_worker_takes_what_a_drained_one_put_back(plant: Plant) -> None:
    job = plant.submit("invert", image=upload_noise(plant), steps=5000)
    plant.under_way(job)
    name = worker_name(GPU_QUEUE, gpu(plant).process.pid)
    plant.start(GPU_QUEUE)
    plant.stores.jobs.drain(name, True)
    plant.until(lambda: plant.get(job).attempt == 2, "its next attempt")
    assert plant.get(job).worker == worker_name(GPU_QUEUE, gpu(plant).process.pid)
    plant.stores.jobs.drain(name, False)
    plant.stores.jobs.request_stop("local", job.id)
    plant.stores.progress.notice_cancel(job.id)
    ended = plant.ended(job)
    assert (ended.status, ended.result["stopped_early"]) == (Status.SUCCEEDED, True)
    assert 0 < ended.result["steps"] < 5000
