"""A worker puts its job back: told to end, drained, or in favour of a job of a higher class."""

import time

import faulty
import pytest
from worker_trial import Trial

from storage.errors import StorageUnavailable
from storage.memory_jobs import MemoryJobs
from storage.records import Job, Priority, Status


def test_a_drain_keeps_the_state_and_the_next_worker_goes_on(trial: Trial) -> None:
    job = trial.submit()
    requeued = trial.take(faulty.recipe(lambda step: trial.drain.ask() if step == 4 else None))
    assert requeued is not None
    assert requeued.status is Status.QUEUED
    assert (requeued.failures, requeued.lost) == (0, 0)
    assert requeued.checkpoint is not None
    assert trial.rings == [("gpu", job.id)]
    assert trial.stores.jobs.events("local", job.id)[-1].data["reason"] == "drain"
    trial.drain.requested = False
    ended = trial.take(faulty.recipe())
    assert ended is not None
    assert (ended.status, ended.attempt) == (Status.SUCCEEDED, 2)
    assert ended.result["taken"] == [5, 6, 7, 8, 9, 10]


def test_a_process_that_is_made_to_exit_puts_its_job_back(trial: Trial) -> None:
    job = trial.submit()
    requeued = trial.take(faulty.quitting())
    assert requeued is not None
    assert (requeued.status, requeued.failures, requeued.lost) == (Status.QUEUED, 0, 0)
    assert trial.rings == [("gpu", job.id)]
    ended = trial.take(faulty.recipe())
    assert ended is not None
    assert (ended.status, ended.attempt) == (Status.SUCCEEDED, 2)


def test_a_draining_worker_claims_nothing_and_passes_the_ring_on(trial: Trial) -> None:
    job = trial.submit()
    trial.drain.ask()
    assert trial.take(faulty.recipe()) is None
    assert trial.get(job).attempt == 0
    assert len(trial.rings) == 1


def test_a_cancel_wins_over_a_drain(trial: Trial) -> None:
    job = trial.submit()

    def on_step(step: int) -> None:
        if step == 2:
            trial.stores.jobs.request_cancel("local", job.id)
            trial.drain.ask()

    trial.take(faulty.recipe(on_step))
    assert trial.get(job).status is Status.CANCELED
    assert trial.rings == []


def test_a_drained_worker_puts_its_job_back_and_takes_no_other(trial: Trial) -> None:
    job = trial.submit()

    def on_step(step: int) -> None:
        if step == 3:
            trial.stores.jobs.drain("trial", True)
        time.sleep(0.02)

    requeued = trial.take(faulty.recipe(on_step, steps=500), lease_s=0.3)
    assert requeued is not None
    assert (requeued.status, requeued.drains, requeued.failures, requeued.lost) == (Status.QUEUED, 1, 0, 0)
    assert requeued.checkpoint is not None
    assert trial.rings == [("gpu", job.id)]
    assert trial.take(faulty.recipe()) is None
    assert trial.rings == [("gpu", job.id)], "it would ring for itself for ever"
    trial.stores.jobs.drain("trial", False)
    ended = trial.take(faulty.recipe(steps=500))
    assert ended is not None
    assert (ended.status, ended.attempt) == (Status.SUCCEEDED, 2)
    assert ended.result["taken"][0] == int(requeued.checkpoint.key[-8:]) + 1


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.follow.WAITED_S", 0.0)


def submitting(trial: Trial, priority: Priority, *, at: int = 3) -> tuple[list[Job], faulty.AnyRecipe]:
    """A recipe during which another job comes."""
    came: list[Job] = []
    return came, faulty.recipe(lambda step: came.append(trial.submit(priority)) if step == at else None)


def test_long_work_gives_way_to_a_higher_class_at_its_checkpoint(trial: Trial, at_once: None) -> None:
    job = trial.submit(Priority.BULK)
    came, recipe = submitting(trial, Priority.INTERACTIVE)
    requeued = trial.take(recipe, checkpoint_s=0)
    assert requeued is not None
    assert (requeued.id, requeued.status, requeued.drains, requeued.failures) == (job.id, Status.QUEUED, 1, 0)
    assert trial.stores.jobs.events("local", job.id)[-1].data["reason"] == "gave_way"
    assert trial.rings == [("gpu", job.id)]
    first = trial.take(faulty.recipe())
    assert first is not None
    assert (first.id, first.status) == (came[0].id, Status.SUCCEEDED)
    second = trial.take(faulty.recipe())
    assert second is not None
    assert (second.id, second.status) == (job.id, Status.SUCCEEDED)
    assert second.result["taken"] == [4, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [(Priority.STANDARD, Priority.STANDARD), (Priority.STANDARD, Priority.BULK), (Priority.INTERACTIVE,) * 2],
)
def test_nothing_gives_way_to_its_own_class_or_a_lower_one(
    trial: Trial, at_once: None, mine: Priority, theirs: Priority
) -> None:
    trial.submit(mine)
    _, recipe = submitting(trial, theirs)
    ended = trial.take(recipe, checkpoint_s=0)
    assert ended is not None
    assert (ended.status, ended.drains) == (Status.SUCCEEDED, 0)


def test_nothing_gives_way_before_a_checkpoint_is_kept(trial: Trial, at_once: None) -> None:
    trial.submit(Priority.BULK)
    _, recipe = submitting(trial, Priority.INTERACTIVE)
    ended = trial.take(recipe, checkpoint_s=60)
    assert ended is not None
    assert ended.status is Status.SUCCEEDED


class Unsure(MemoryJobs):
    def outranked(self, job: Job, *, waited_s: float = 0.0) -> bool:
        raise StorageUnavailable("The database does not answer.")


def test_whoever_cannot_ask_goes_on(trial: Trial, at_once: None) -> None:
    trial.use(jobs=Unsure())
    trial.submit(Priority.BULK)
    ended = trial.take(faulty.recipe(), checkpoint_s=0)
    assert ended is not None
    assert ended.status is Status.SUCCEEDED
