"""Two GPU workers: a job goes to the one that has its model loaded, as long as that is idle."""

import time
from pathlib import Path

import pytest
from worker_plant import Plant, begun_inversion, upload_noise

from storage.records import Status
from workers.tasks import STAY_S

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]


def test_a_job_goes_to_who_has_its_model_or_else_to_who_is_idle(tmp_path: Path, valkey_url: str) -> None:
    with Plant.opened(tmp_path, valkey_url) as plant:
        other = plant.start("gpu")
        plant.until(lambda: len(plant.stores.progress.workers()) == 3, "presence")
        warm = plant.ended(plant.submit("sample")).worker
        plant.until(lambda: _idle(plant), "both have loaded torch")  # no model, which comes with a job
        for _ in range(6):
            time.sleep(2 * STAY_S)  # so that either may hear
            assert plant.ended(plant.submit("sample")).worker == warm
        busy = begun_inversion(plant, upload_noise(plant), steps=5000)
        assert busy.worker == warm
        assert plant.ended(plant.submit("sample")).worker not in (None, warm)
        assert plant.get(busy).status is Status.RUNNING
        assert other.process.poll() is None


def _idle(plant: Plant) -> bool:
    """Whether no GPU worker's child has worked for half a second."""
    children = [child for worker in plant.workers if worker.queue == "gpu" for child in worker.children]
    before = [_worked(child) for child in children]
    time.sleep(0.5)
    return len(children) == 2 and [_worked(child) for child in children] == before


def _worked(pid: int) -> int:
    """Ticks of the processor's time, of a process that has loaded torch; else more at each look."""
    if "libtorch_cpu" not in Path(f"/proc/{pid}/maps").read_text():
        return time.monotonic_ns()
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return int(user) + int(system)
