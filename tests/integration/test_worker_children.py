"""A pool child dies or hangs: its parent knows at once, and the job goes on with its next child."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from worker_plant import ROOT, Plant, gpu, upload_noise

from storage.records import Job, Status
from workers.guard import EXIT_STATUS

LEASE_S = 30.0  # no test here may wait for it
STEPS = 60
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory, valkey_url: str) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("children")
    with Plant.opened(folder, valkey_url, lease_s=LEASE_S, stall_s=2.0) as plant:
        yield plant


def w_plus(plant: Plant, job: Job) -> bytes:
    return plant.stores.objects.get(job.outputs["w_plus.safetensors"])


def times(plant: Plant, job: Job, kind: str) -> list[float]:
    return [event.created_at for event in plant.stores.jobs.events("local", job.id) if event.type == kind]


@pytest.mark.slow
def test_kill_9_of_the_child_and_its_job_goes_on_at_once_to_the_same_bits(plant: Plant) -> None:
    picture = upload_noise(plant)
    whole = plant.ended(plant.submit("invert", image=picture, steps=STEPS, reuse=False))
    assert (whole.status, whole.attempt) == (Status.SUCCEEDED, 1), whole.error
    job = plant.submit("invert", image=picture, steps=STEPS, reuse=False)
    before = plant.under_way(job)
    assert before.worker_pid is not None
    assert gpu(plant).children == [before.worker_pid]
    os.kill(before.worker_pid, signal.SIGKILL)
    killed_at = time.time()
    ended = plant.ended(job)
    assert (ended.status, ended.attempt, ended.lost, ended.failures) == (Status.SUCCEEDED, 2, 1, 0)
    (loss,) = ended.losses
    assert (loss["attempt"], loss["cause"]) == (1, "killed by signal 9")
    assert w_plus(plant, ended) == w_plus(plant, whole)
    released_s, resumed_s = (times(plant, job, kind)[1] - killed_at for kind in ("queued", "running"))
    print(f"released after {released_s:.2f} s, claimed again after {resumed_s:.2f} s")
    assert released_s < LEASE_S / 2, "the lease had to pass"


@pytest.mark.slow
def test_a_step_that_hangs_costs_its_child_and_one_failure(plant: Plant, tmp_path: Path) -> None:
    """In a worker of its own; the other one is gone."""
    mended = tmp_path / "mended"
    path = os.pathsep.join(str(ROOT / "tests" / folder) for folder in ("integration", "unit/workers"))
    environ = {"PYTHONPATH": path, "TEST_HANGS_UNTIL": str(mended)}
    plant.kill(gpu(plant))
    worker = plant.start("gpu", "--include", "hanging", **environ)
    job = plant.submit("sample")
    plant.until(lambda: plant.get(job).failures == 1, "the end of the attempt that hangs")
    hung = plant.get(job)
    assert (hung.status, hung.attempt, hung.lost) == (Status.QUEUED, 1, 0)
    error = plant.stores.jobs.events("local", job.id)[-1].data["error"]
    assert error["code"] == "stalled"
    mended.touch()
    ended = plant.ended(job)
    assert (ended.status, ended.attempt, ended.failures, ended.lost) == (Status.SUCCEEDED, 2, 1, 0)
    assert worker.process.poll() is None
    assert f"exitcode {EXIT_STATUS}" in worker.output()
