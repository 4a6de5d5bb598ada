"""Small jobs that one claim takes go through the pipeline side by side."""

import dataclasses
from collections.abc import Callable

import faulty
import pytest
from worker_trial import Trial

from storage.errors import StorageUnavailable
from storage.memory_jobs import MemoryJobs
from storage.records import Job, Status
from workers.pace import AT_ONCE_S, MOST, Pace
from workers.recipe import AnyRecipe


def of_each(*recipes: AnyRecipe) -> AnyRecipe:
    """A recipe that does what these do, one for each job in turn."""
    turns: list[AnyRecipe] = []

    def load(attempt: object) -> tuple[AnyRecipe, object]:
        turns.append(recipes[len(turns) % len(recipes)])
        return turns[-1], turns[-1].load(attempt)

    return dataclasses.replace(
        recipes[0],
        load=load,
        operate=lambda loaded, resume: loaded[0].operate(loaded[1], resume),
        save=lambda attempt, loaded, result: loaded[0].save(attempt, loaded[1], result),
    )


@pytest.fixture
def quick() -> Pace:
    pace = Pace()
    pace.took("sample", AT_ONCE_S / 4)
    return pace


def test_a_pace_is_learned_and_large_jobs_are_claimed_one_by_one() -> None:
    pace = Pace()
    assert pace.most("sample") == 1
    pace.took("sample", AT_ONCE_S / 4)
    assert (pace.most("sample"), pace.most("edit")) == (4, 1)
    for _ in range(20):
        pace.took("sample", AT_ONCE_S / 1000)
    assert pace.most("sample") == MOST
    for _ in range(20):
        pace.took("sample", 10 * AT_ONCE_S)
    assert pace.most("sample") == 1


def test_all_of_a_claim_end_with_their_own_outputs(trial: Trial, quick: Pace) -> None:
    jobs = [trial.submit() for _ in range(3)]
    trial.take(faulty.recipe(), pace=quick)
    for job in map(trial.get, jobs):
        assert (job.status, job.attempt) == (Status.SUCCEEDED, 1)
        assert f"/{job.id}/1/" in job.outputs["steps.txt"].key
        assert job.result["taken"] == list(range(1, 11))
        assert trial.stores.progress.latest(job.id) == {"type": "state", "attempt": 1}
    assert trial.guard.armed_s is None


def test_one_that_fails_leaves_and_the_others_go_on(trial: Trial, quick: Pace) -> None:
    jobs = [trial.submit() for _ in range(3)]
    trial.take(of_each(faulty.recipe(), faulty.wrong_mask(), faulty.recipe()), pace=quick)
    ended = [trial.get(job).status for job in jobs]
    assert ended == [Status.SUCCEEDED, Status.FAILED, Status.SUCCEEDED]


def test_one_that_is_canceled_leaves_and_the_others_go_on(trial: Trial, quick: Pace) -> None:
    jobs = [trial.submit() for _ in range(3)]

    def cancel(step: int) -> None:
        if step == 2:
            trial.stores.jobs.request_cancel("local", jobs[1].id)
            trial.stores.progress.notice_cancel(jobs[1].id)

    trial.take(of_each(faulty.recipe(), faulty.recipe(cancel), faulty.recipe()), pace=quick)
    assert [trial.get(job).status for job in jobs] == [Status.SUCCEEDED, Status.CANCELED, Status.SUCCEEDED]


@pytest.mark.parametrize("fault", [faulty.quitting, lambda: None])
def test_a_worker_that_is_to_end_puts_all_of_them_back(
    trial: Trial, quick: Pace, fault: Callable[[], AnyRecipe | None]
) -> None:
    jobs = [trial.submit() for _ in range(3)]
    ending = fault() or faulty.recipe(lambda step: trial.drain.ask() if step == 4 else None)
    trial.take(of_each(ending, faulty.recipe(), faulty.recipe()), pace=quick)
    rows = [trial.get(job) for job in jobs]
    assert [(row.status, row.failures, row.lost) for row in rows] == [(Status.QUEUED, 0, 0)] * 3
    assert sorted(trial.rings) == sorted(("gpu", job.id) for job in jobs)


class Away(MemoryJobs):
    """Their common end is never written."""

    def succeed_together(self, endings: object) -> tuple[Job | None, ...]:
        raise StorageUnavailable("gone")


def test_those_that_cannot_end_together_end_alone(trial: Trial, quick: Pace) -> None:
    trial.use(jobs=Away())
    jobs = [trial.submit() for _ in range(3)]
    trial.take(faulty.recipe(), pace=quick)
    assert [trial.get(job).status for job in jobs] == [Status.SUCCEEDED] * 3
