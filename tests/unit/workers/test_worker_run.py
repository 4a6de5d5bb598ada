"""The pipeline, over the in-memory stores, with recipes that misbehave."""

import dataclasses
import threading
import time

import faulty
import pytest
from worker_trial import Trial

from storage.errors import StorageUnavailable
from storage.memory import MemoryObjects
from storage.memory_jobs import MemoryJobs
from storage.records import Claim, Count, Job, ObjectRef, Status
from workers.pace import Pace


def counts(job: Job) -> dict[str, int]:
    return {count.value: times for count in Count if (times := getattr(job, count.value))}


def test_nothing_to_claim(trial: Trial) -> None:
    assert trial.take(faulty.recipe()) is None


def test_a_job_ends_succeeded_with_outputs_and_figures(trial: Trial) -> None:
    job = trial.submit()
    ended = trial.take(faulty.recipe())
    assert ended == trial.get(job)
    assert ended.status is Status.SUCCEEDED
    assert ended.result["taken"] == list(range(1, 11))
    assert ended.result["seconds"] >= 0
    assert trial.stores.objects.get(ended.outputs["steps.txt"]) == b"1 2 3 4 5 6 7 8 9 10"
    assert "/1/" in ended.outputs["steps.txt"].key
    assert (ended.attempt, ended.failures, ended.lost) == (1, 0, 0)


def test_progress_is_told_first_and_last_and_throttled_between(trial: Trial) -> None:
    job = trial.submit()
    heard = []
    board = trial.stores.progress
    messages = board.listen(job.id, timeout_s=2.0)
    trial.take(faulty.slow(0.03))
    for message in messages:
        heard.append(message)
        if message.get("phase") == "saving":
            break
    assert [m["phase"] for m in heard if m["type"] == "phase"] == ["loading", "operating", "saving"]
    steps = [m for m in heard if m["type"] == "progress"]
    assert steps[0]["step"] == 1
    assert steps[-1]["step"] == 10
    assert 2 <= len(steps) <= 6
    assert steps[0]["seconds_left"] is None
    assert steps[-1]["seconds_left"] == 0
    assert steps[-1] == steps[-1] | {"attempt": 1, "total": 10, "losses": {"loss": 0.1}}


def test_of_a_job_that_will_be_short_the_phases_are_not_told(trial: Trial) -> None:
    pace = Pace()
    pace.took("sample", 0.01)
    for known, told in ((None, 3), (pace, 0)):
        messages = trial.stores.progress.listen(trial.submit().id, timeout_s=0.0)
        trial.take(faulty.recipe(), pace=known)
        heard = [message["type"] for message in messages]
        assert heard.count("phase") == told
        assert heard[-1] == "state"


def test_who_listens_is_told_once_the_row_has_changed(trial: Trial) -> None:
    job = trial.submit()
    messages = trial.stores.progress.listen(job.id, timeout_s=0.0)
    trial.take(faulty.recipe())
    assert [m for m in messages if m["type"] == "state"] == [{"type": "state", "attempt": 1}]


def test_a_cancel_is_noticed_within_one_step(trial: Trial) -> None:
    job = trial.submit()
    taken: list[int] = []

    def on_step(step: int) -> None:
        taken.append(step)
        if step == 3:
            trial.stores.jobs.request_cancel("local", job.id)
            trial.stores.progress.notice_cancel(job.id)

    ended = trial.take(faulty.recipe(on_step))
    assert ended is not None
    assert ended.status is Status.CANCELED
    assert taken == [1, 2, 3]
    assert not ended.outputs


def test_without_the_board_a_cancel_comes_with_the_renewal(trial: Trial) -> None:
    job = trial.submit()

    def on_step(step: int) -> None:
        if step == 1:
            trial.stores.jobs.request_cancel("local", job.id)
        time.sleep(0.02)

    ended = trial.take(faulty.recipe(on_step, steps=500), lease_s=0.3)
    assert ended is not None
    assert ended.status is Status.CANCELED


def test_a_false_rumour_cancels_nothing(trial: Trial) -> None:
    job = trial.submit()
    trial.stores.progress.notice_cancel(job.id)
    trial.take(faulty.recipe())
    assert trial.get(job).status is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("recipe", "code"),
    [
        (faulty.wrong_mask, "mask_unchanged"),
        (faulty.diverging, "non_finite"),
        (faulty.buggy, "internal_error"),
    ],
)
def test_an_error_becomes_a_code_on_the_row(trial: Trial, recipe, code: str) -> None:
    job = trial.submit()
    trial.take(recipe())
    ended = trial.get(job)
    assert ended.status is Status.FAILED
    assert ended.error is not None
    assert ended.error["code"] == code
    assert "secret" not in str(ended.error)
    assert "Traceback" not in str(ended.error)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("recipe", "code", "count", "limit"),
    [
        (faulty.out_of_memory, "out_of_memory", "out_of_memory", 2),
        (faulty.away, "storage_unavailable", "outages", 5),
        (faulty.full, "storage_full", "outages", 5),
        (faulty.unloadable, "storage_unavailable", "outages", 5),
        (faulty.corrupt, "object_corrupt", "failures", 3),
    ],
)
def test_what_may_pass_is_tried_again_but_not_for_ever(
    trial: Trial, recipe, code: str, count: str, limit: int, monkeypatch
) -> None:
    monkeypatch.setattr("workers.retry.FIRST_PAUSE_S", 0.0)
    job = trial.submit()
    for times in range(1, limit):
        requeued = trial.take(recipe())
        assert requeued is not None
        assert (requeued.status, getattr(requeued, count)) == (Status.QUEUED, times)
    trial.take(recipe())
    ended = trial.get(job)
    assert ended.status is Status.FAILED
    assert ended.error is not None
    assert ended.error["code"] == code
    assert counts(ended) == {count: limit}


def test_a_retry_waits_by_not_before(trial: Trial) -> None:
    job = trial.submit()
    trial.take(faulty.out_of_memory())
    assert trial.get(job).not_before > time.time() + 1
    assert trial.take(faulty.recipe()) is None


def test_an_unknown_kind_fails_and_is_not_lost(trial: Trial) -> None:
    job = trial.stores.jobs.add("local", "juggle", {})
    bench_less = trial.take(faulty.raising(KeyError("juggle"), at=1))
    assert bench_less is not None
    assert trial.get(job).status is Status.FAILED


@pytest.mark.thorough
def test_the_heartbeat_outlasts_many_leases(trial: Trial) -> None:
    job = trial.submit()
    expired: list[Job] = []

    def on_step(step: int) -> None:
        time.sleep(0.2)
        expired.extend(trial.stores.jobs.expire(max_lost=3))

    trial.take(faulty.recipe(on_step, steps=4), lease_s=0.3)
    assert expired == []
    assert trial.get(job).status is Status.SUCCEEDED


def test_a_cut_off_worker_writes_nothing_over_its_successor(trial: Trial) -> None:
    """The lease is taken away under a step that hangs; another attempt ends the job meanwhile."""
    job = trial.submit()
    released = threading.Event()
    first: list[Job | None] = []
    hang = threading.Thread(target=lambda: first.append(trial.take(faulty.stuck(released), checkpoint_s=0)))
    hang.start()
    while not trial.get(job).checkpoint:
        time.sleep(0.01)
    rows = trial.stores.jobs.rows  # the clock of the row, turned forward
    rows[job.id].job = dataclasses.replace(rows[job.id].job, lease_until=time.time() - 1)
    (expired,) = trial.stores.jobs.expire(max_lost=3)
    assert (expired.status, expired.lost) == (Status.QUEUED, 1)
    ended = trial.take(faulty.recipe())
    released.set()
    hang.join(timeout=5)
    assert first == [None]
    assert ended == trial.get(job)
    assert (ended.attempt, ended.result["taken"]) == (2, list(range(2, 11)))


class Flickering(MemoryJobs):
    """Storage that is away for a while, for the calls named."""

    def __init__(self, **away: int) -> None:
        super().__init__()
        self.away = away

    def _flicker(self, call: str) -> None:
        if self.away.get(call, 0) > 0:
            self.away[call] -= 1
            raise StorageUnavailable("The database does not answer.")

    def renew(self, claim: Claim, *, lease_s: float):
        self._flicker("renew")
        return super().renew(claim, lease_s=lease_s)

    def requeue(self, claim: Claim, **how):
        self._flicker("requeue")
        return super().requeue(claim, **how)

    def succeed(self, claim: Claim, outputs, result, **how):
        self._flicker("succeed")
        job = super().succeed(claim, outputs, result, **how)
        self._flicker("answer")
        return job


@pytest.mark.thorough
@pytest.mark.parametrize("away", [{"renew": 5}, {"succeed": 3}, {"answer": 2}, {"renew": 3, "succeed": 2}])
def test_storage_may_be_away_for_less_than_a_lease(trial: Trial, away: dict[str, int]) -> None:
    trial.use(jobs=Flickering(**away))
    job = trial.submit()
    ended = trial.take(faulty.slow(0.08), lease_s=1.5)
    assert ended == trial.get(job)
    assert ended.status is Status.SUCCEEDED
    assert ended.attempt == 1


def test_storage_away_for_longer_ends_the_attempt_and_counts_as_an_outage(trial: Trial) -> None:
    trial.use(jobs=Flickering(renew=1000, succeed=1000, requeue=3))
    job = trial.submit()
    requeued = trial.take(faulty.slow(0.05, steps=1000), lease_s=0.4)
    assert requeued == trial.get(job)
    assert (requeued.status, counts(requeued)) == (Status.QUEUED, {"outages": 1})
    assert trial.rings == [("gpu", job.id)]


@pytest.mark.thorough
def test_storage_away_for_two_leases_ends_the_attempt_untold(trial: Trial) -> None:
    away = Flickering(renew=1000, succeed=1000, requeue=1000)
    trial.use(jobs=away)
    job = trial.submit()
    assert trial.take(faulty.slow(0.05, steps=1000), lease_s=0.4) is None
    assert trial.get(job).status is Status.RUNNING
    (expired,) = trial.stores.jobs.expire(max_lost=3)
    assert (expired.status, counts(expired)) == (Status.QUEUED, {"lost": 1})


def test_what_housekeeping_took_back_meanwhile_is_not_written(trial: Trial) -> None:
    away = Flickering(renew=1000, succeed=1000, requeue=2)
    trial.use(jobs=away)
    job = trial.submit()

    def on_step(step: int) -> None:
        time.sleep(0.05)
        away.expire(max_lost=3)

    assert trial.take(faulty.recipe(on_step, steps=1000), lease_s=0.4) is None
    assert counts(trial.get(job)) == {"lost": 1}


def test_checkpoints_move_on_and_leave_one_object(trial: Trial) -> None:
    job = trial.submit()
    trial.take(faulty.recipe(), checkpoint_s=0)
    kept = [key for key in trial.stores.objects.list(f"local/jobs/{job.id}/") if "/checkpoints/" in key]
    pointer = trial.get(job).checkpoint
    assert pointer is not None
    assert kept == [pointer.key]


def test_a_corrupt_checkpoint_starts_the_work_over(trial: Trial) -> None:
    trial.submit()
    requeued = trial.take(faulty.recipe(lambda step: trial.drain.ask() if step == 4 else None))
    assert requeued is not None
    assert requeued.checkpoint is not None
    trial.stores.objects.put(requeued.checkpoint.key, b"rubbish", "application/octet-stream")
    trial.drain.requested = False
    ended = trial.take(faulty.recipe())
    assert ended is not None
    assert ended.result["taken"] == list(range(1, 11))


class Away(MemoryObjects):
    """Objects that cannot be read for now."""

    def get(self, ref: ObjectRef) -> bytes:
        raise StorageUnavailable("The object store does not answer.")


def test_a_checkpoint_out_of_reach_is_waited_for(trial: Trial) -> None:
    job = trial.submit()
    trial.take(faulty.recipe(lambda step: trial.drain.ask() if step == 4 else None))
    trial.drain.requested = False
    trial.use(objects=Away())
    requeued = trial.take(faulty.recipe())
    assert requeued is not None
    assert (requeued.status, counts(requeued)) == (Status.QUEUED, {"drains": 1, "outages": 1})
    assert requeued.checkpoint == trial.get(job).checkpoint is not None
