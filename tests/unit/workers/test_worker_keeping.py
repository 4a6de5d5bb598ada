"""What an attempt keeps in the library comes with its job's success: once, or not at all."""

import dataclasses
import time

import faulty
import pytest
from test_worker_run import Flickering
from worker_trial import Trial

from storage.library_records import Kept, Vector
from storage.memory import MemoryLibrary
from storage.memory_batches import MemoryBatches
from storage.memory_jobs import MemoryJobs
from storage.memory_retention import MemoryRetention
from storage.records import Job, Status, new_id
from workers.attempt import Attempt, Saved
from workers.recipe import AnyRecipe


def keeping(*, tenant_id: str = "local", before_success=lambda attempt: None) -> AnyRecipe:
    """Counts, and keeps a vector that lies among its outputs."""
    plain = faulty.recipe(steps=2)

    def save(attempt: Attempt, loaded: list[int], taken: list[int]) -> Saved:
        attempt.put("delta_w.safetensors", b"numbers", "application/octet-stream")
        vector = Vector(
            new_id(), tenant_id, "steps", "cars", "d" * 64, "e" * 64, "", (), (),
            {"delta_w": attempt.outputs["delta_w.safetensors"]}, {}, {}, attempt.job.id, 0.0,
        )  # fmt: skip
        before_success(attempt)
        return Saved(attempt.outputs, {"taken": taken}, Kept(vectors=(vector,)))

    return dataclasses.replace(plain, save=save)


def use(trial: Trial, jobs: MemoryJobs) -> None:
    library = MemoryLibrary(jobs)
    trial.use(jobs=jobs, library=library, retention=MemoryRetention(jobs, library, MemoryBatches(jobs)))


def vectors(trial: Trial) -> tuple[Vector, ...]:
    return trial.stores.library.list_vectors("local").items


@pytest.mark.parametrize("away", [{}, {"succeed": 2}, {"answer": 2}])
def test_a_vector_is_kept_once_however_often_the_success_is_told(trial: Trial, away: dict[str, int]) -> None:
    use(trial, Flickering(**away))
    job = trial.submit()
    ended = trial.take(keeping(), lease_s=2.0)
    assert ended == trial.get(job)
    assert ended.status is Status.SUCCEEDED
    (vector,) = vectors(trial)
    assert vector.job_id == job.id
    assert trial.stores.objects.get(vector.files["delta_w"]) == b"numbers"


def test_an_attempt_that_was_cut_off_keeps_nothing(trial: Trial) -> None:
    job = trial.submit()

    def lost(attempt: Attempt) -> None:
        rows = trial.stores.jobs.rows
        rows[job.id].job = dataclasses.replace(rows[job.id].job, lease_until=time.time() - 1)
        trial.stores.jobs.expire(max_lost=9)

    assert trial.take(keeping(before_success=lost)) is None
    assert vectors(trial) == ()
    ended = trial.take(keeping())
    assert ended is not None
    assert [vector.files["delta_w"] for vector in vectors(trial)] == [ended.outputs["delta_w.safetensors"]]


def test_a_record_for_somebody_else_fails_the_job(trial: Trial) -> None:
    trial.submit()
    ended: Job | None = trial.take(keeping(tenant_id="system"))
    assert ended is not None
    assert (ended.status, ended.error and ended.error["code"]) == (Status.FAILED, "internal_error")
    assert vectors(trial) == ()
