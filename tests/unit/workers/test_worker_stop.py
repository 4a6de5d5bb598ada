"""A job told to stop ends early, succeeded, with the best so far."""

import time

import faulty
from worker_trial import Trial

from storage.records import Job, Status


def stopping(trial: Trial, job: Job, *, at: int, drained: bool = False) -> faulty.AnyRecipe:
    """A recipe during which somebody asks for the stop, and the board says so."""

    def on_step(step: int) -> None:
        if step == at:
            trial.stores.jobs.request_stop("local", job.id)
            trial.stores.progress.notice_cancel(job.id)
            trial.drain.requested = drained

    return faulty.recipe(on_step)


def test_a_stop_is_heeded_after_the_same_step(trial: Trial) -> None:
    job = trial.submit()
    ended = trial.take(stopping(trial, job, at=3))
    assert ended == trial.get(job)
    assert (ended.status, ended.attempt) == (Status.SUCCEEDED, 1)
    assert ended.result["taken"] == [1, 2, 3]
    assert ended.result["stopped_early"] is True
    assert trial.stores.objects.get(ended.outputs["steps.txt"]) == b"1 2 3"
    types = [event.type for event in trial.stores.jobs.events("local", job.id)]
    assert types == ["queued", "running", "stop_requested", "succeeded"]


def test_a_job_left_alone_was_not_stopped(trial: Trial) -> None:
    trial.submit()
    ended = trial.take(faulty.recipe())
    assert ended is not None
    assert ended.result["stopped_early"] is False


def test_a_stop_during_the_last_step_stopped_nothing(trial: Trial) -> None:
    job = trial.submit()
    ended = trial.take(stopping(trial, job, at=faulty.STEPS))
    assert ended is not None
    assert ended.result["taken"] == list(range(1, 11))
    assert ended.result["stopped_early"] is False


def test_without_the_board_a_stop_comes_with_the_renewal(trial: Trial) -> None:
    job = trial.submit()

    def on_step(step: int) -> None:
        if step == 1:
            trial.stores.jobs.request_stop("local", job.id)
        time.sleep(0.02)

    ended = trial.take(faulty.recipe(on_step, steps=500), lease_s=0.3)
    assert ended is not None
    assert (ended.status, ended.result["stopped_early"]) == (Status.SUCCEEDED, True)
    assert 1 <= len(ended.result["taken"]) < 500


def test_a_job_stopped_and_drained_at_once_ends_in_its_next_attempt(trial: Trial) -> None:
    job = trial.submit()
    requeued = trial.take(stopping(trial, job, at=3, drained=True))
    assert requeued is not None
    assert (requeued.status, requeued.stop_requested) == (Status.QUEUED, True)
    trial.drain.requested = False
    ended = trial.take(faulty.recipe())
    assert ended is not None
    assert (ended.status, ended.result["taken"]) == (Status.SUCCEEDED, [4])
    assert ended.result["stopped_early"] is True


def test_a_job_stopped_while_it_waits_ends_after_one_more_step(trial: Trial) -> None:
    job = trial.submit()
    trial.take(faulty.recipe(lambda step: trial.drain.ask() if step == 4 else None))
    trial.drain.requested = False
    trial.stores.jobs.request_stop("local", job.id)
    ended = trial.take(faulty.recipe())
    assert ended is not None
    assert (ended.result["taken"], ended.result["stopped_early"]) == ([5], True)


def test_a_cancel_wins_over_a_stop(trial: Trial) -> None:
    job = trial.submit()

    def on_step(step: int) -> None:
        if step == 3:
            trial.stores.jobs.request_stop("local", job.id)
            trial.stores.jobs.request_cancel("local", job.id)
            trial.stores.progress.notice_cancel(job.id)

    trial.take(faulty.recipe(on_step))
    assert trial.get(job).status is Status.CANCELED
