"""Real Celery workers: whatever is done to them, the job ends rightly, once."""

import os
import signal
import time
from collections.abc import Iterator

import pytest
from tiny_model import SIZE_PX
from worker_plant import Plant, begun_inversion, gpu, upload_noise

from storage.masks import decode_mask
from storage.records import Job, Priority, Status
from storage.specs import JobOptions
from workers.tasks import STAY_S

STEPS = 150
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory, valkey_url: str) -> Iterator[Plant]:
    with Plant.opened(tmp_path_factory.mktemp("plant"), valkey_url) as plant:
        yield plant


@pytest.fixture(scope="module")
def picture(plant: Plant) -> str:
    return upload_noise(plant)


def assert_succeeded_once(plant: Plant, job: Job, *, attempt: int, lost: int) -> None:
    ended = plant.ended(job)
    assert ended.status is Status.SUCCEEDED, (ended.error, gpu(plant).output()[-3000:])
    assert (ended.attempt, ended.failures, ended.lost) == (attempt, 0, lost)
    assert plant.types(job).count("succeeded") == 1
    assert all(f"/{attempt}/outputs/" in ref.key for ref in ended.outputs.values())


@pytest.mark.slow
def test_a_job_of_each_kind_succeeds(plant: Plant, picture: str) -> None:
    sample = plant.submit("sample", count=2, seed=5)
    invert = plant.submit("invert", image=picture, steps=5)
    operations = [{"op": "scale", "part": "wheel", "factor": 1.4}]
    edit = plant.submit("edit", image=picture, inversion_steps=5, steps=5, mask_operations=operations)
    for job in (sample, invert, edit):
        assert_succeeded_once(plant, job, attempt=1, lost=0)
    outputs = plant.get(sample).outputs
    assert sorted(outputs) == [
        "mask_000.png",
        "mask_001.png",
        "picture_000.png",
        "picture_001.png",
        "w_plus.safetensors",
    ]
    mask = decode_mask(plant.stores.objects.get(outputs["mask_000.png"]))
    assert mask.shape == (SIZE_PX, SIZE_PX)


def test_the_worker_is_on_the_board(plant: Plant) -> None:
    workers = plant.until(lambda: len(plant.stores.progress.workers()) == 2, "presence")
    by_queue = {worker["queue"]: worker for worker in plant.stores.progress.workers()}
    assert workers
    assert by_queue["gpu"] == by_queue["gpu"] | {
        "pid": gpu(plant).process.pid,
        "device": "cpu",
        "threads": 1,
    }
    assert by_queue["gpu"]["name"].endswith(f":{gpu(plant).process.pid}:gpu")


def test_a_job_that_comes_soon_after_another_takes_no_message_of_celerys(plant: Plant) -> None:
    """Nor is a ring lost that comes as the child goes: with pauses on both sides of how long it stays."""
    plant.ended(plant.submit("sample"))
    before = gpu(plant).output().count("received")
    for pause_s in (0.0, 0.05, STAY_S - 0.05, STAY_S, STAY_S + 0.05, 3 * STAY_S):
        time.sleep(pause_s)
        assert_succeeded_once(plant, plant.submit("sample"), attempt=1, lost=0)
    assert before < gpu(plant).output().count("received") < before + 6


def test_a_lost_message_is_rung_again(plant: Plant) -> None:
    plant.broker.flushall()
    job = plant.submit("sample", ring=False)
    assert_succeeded_once(plant, job, attempt=1, lost=0)


def test_a_running_job_is_canceled_within_a_step(plant: Plant, picture: str) -> None:
    job = plant.submit("invert", image=picture, steps=5000)
    plant.under_way(job)
    plant.stores.jobs.request_cancel("local", job.id)
    plant.stores.progress.notice_cancel(job.id)
    assert plant.ended(job).status is Status.CANCELED


def test_long_work_gives_way_to_an_interactive_job_and_goes_on(plant: Plant, picture: str) -> None:
    long = plant.submit("invert", image=picture, steps=5000, options=JobOptions(priority=Priority.BULK))
    plant.under_way(long)
    short = plant.submit("sample", options=JobOptions(priority=Priority.INTERACTIVE))
    assert plant.ended(short).status is Status.SUCCEEDED
    plant.until(lambda: plant.get(long).attempt == 2, "its next attempt")
    reasons = [event.data.get("reason") for event in plant.stores.jobs.events("local", long.id)]
    assert "gave_way" in reasons
    plant.stores.jobs.request_stop("local", long.id)
    plant.stores.progress.notice_cancel(long.id)
    stopped = plant.ended(long)
    assert (stopped.status, stopped.attempt) == (Status.SUCCEEDED, 2)
    assert (stopped.drains, stopped.failures, stopped.lost) == (1, 0, 0)
    assert stopped.result["stopped_early"] is True


def test_kill_9_of_the_pool_child(plant: Plant, picture: str) -> None:
    job = begun_inversion(plant, picture, steps=STEPS)
    (child,) = gpu(plant).children
    os.kill(child, signal.SIGKILL)
    assert_succeeded_once(plant, job, attempt=2, lost=1)


@pytest.mark.slow
def test_kill_9_of_the_parent_and_a_new_start(plant: Plant, picture: str) -> None:
    job = begun_inversion(plant, picture, steps=STEPS)
    plant.kill(gpu(plant))
    plant.start("gpu")
    assert_succeeded_once(plant, job, attempt=2, lost=1)


@pytest.mark.parametrize("whole_group", [pytest.param(False, marks=pytest.mark.slow), True])
def test_term_drains_and_the_next_worker_goes_on(plant: Plant, picture: str, whole_group: bool) -> None:
    job = plant.submit("invert", image=picture, steps=5000)
    plant.under_way(job)
    old = gpu(plant)
    if whole_group:
        os.killpg(old.process.pid, signal.SIGTERM)
    else:
        old.process.terminate()
    plant.until(lambda: old.process.poll() is not None, "the end of the worker")
    drained = plant.get(job)
    assert drained.status is Status.QUEUED
    assert (drained.failures, drained.lost, drained.attempt) == (0, 0, 1)
    assert drained.checkpoint is not None
    assert plant.stores.jobs.events("local", job.id)[-1].data["reason"] == "drain"
    kept_step = int(drained.checkpoint.key.rpartition("/")[2])
    steps = plant.stores.progress.listen(job.id, timeout_s=40)
    plant.start("gpu")
    first = next(message for message in steps if message["type"] == "progress")
    assert (first["attempt"], first["step"]) == (2, kept_step + 1)
    plant.stores.jobs.request_cancel("local", job.id)
    plant.stores.progress.notice_cancel(job.id)
    assert plant.ended(job).status is Status.CANCELED
