"""Lost workers: who notices, what is counted, and when a job is put in quarantine. Over every backend."""

import time
from typing import Any

import pytest
from job_steps import ERROR, claimed, take, together, told
from store_records import Records

from storage.errors import LeaseLost
from storage.records import Claim, Count, Job, Status
from storage.stores import Jobs

COUNTS = ("failures", "outages", "out_of_memory", "lost", "drains")


def counts(job: Job) -> dict[str, int]:
    return {name: getattr(job, name) for name in COUNTS}


def lose(jobs: Jobs, claim: Claim, *, cause: str = "killed by signal 9", max_lost: int = 3) -> Job:
    assert claim.job.worker is not None
    assert claim.job.worker_pid is not None
    (job,) = jobs.release(claim.job.worker, claim.job.worker_pid, cause=cause, max_lost=max_lost)
    return job


@pytest.mark.parametrize("count", list(Count))
def test_each_end_of_an_attempt_is_counted_as_what_it_was(jobs: Jobs, count: Count) -> None:
    job = jobs.requeue(claimed(jobs), reason="retry", count=count)
    assert counts(job) == dict.fromkeys(COUNTS, 0) | {count.value: 1}
    assert jobs.events("local", job.id)[-1].data[count.value] == 1
    failed = jobs.fail(take(jobs), ERROR, count=count)
    assert counts(failed) == dict.fromkeys(COUNTS, 0) | {count.value: 2}
    assert failed == jobs.get("local", job.id)


def test_a_dead_process_gives_its_job_back_at_once(jobs: Jobs) -> None:
    jobs.add("local", "edit", {})
    claim = take(jobs, "host:1", pid=41)
    other = [claimed(jobs), *(_also(jobs, worker, pid) for worker, pid in (("host:1", 42), ("host:2", 41)))]
    assert (claim.job.worker, claim.job.worker_pid) == ("host:1", 41)
    before = time.time()
    job = lose(jobs, claim)
    assert (job.id, job.status, job.worker, job.worker_pid) == (claim.job.id, Status.QUEUED, None, None)
    assert counts(job) == dict.fromkeys(COUNTS, 0) | {"lost": 1}
    (loss,) = job.losses
    assert abs(loss.pop("at") - before) < 60
    assert loss == {"attempt": 1, "worker": "host:1", "cause": "killed by signal 9"}
    told_last = jobs.events("local", job.id)[-1]
    assert (told_last.type, told_last.data["cause"]) == ("queued", "killed by signal 9")
    assert jobs.release("host:1", 41, cause="again", max_lost=3) == ()
    with pytest.raises(LeaseLost):
        jobs.renew(claim, lease_s=60)
    for kept in other:
        jobs.renew(kept, lease_s=60)
    assert take(jobs).job.attempt == 2


def _also(jobs: Jobs, worker: str, pid: int) -> Claim:
    jobs.add("local", "edit", {})
    return take(jobs, worker, pid=pid)


def test_a_claim_without_a_process_is_released_by_its_lease_only(jobs: Jobs) -> None:
    claim = claimed(jobs)
    assert claim.job.worker is not None
    assert jobs.release(claim.job.worker, 1, cause="gone", max_lost=3) == ()
    jobs.renew(claim, lease_s=60)


def test_a_job_that_is_lost_too_often_is_quarantined_with_what_is_known(jobs: Jobs) -> None:
    jobs.add("local", "edit", {})
    lose(jobs, take(jobs, "host:1", pid=41), cause="killed by signal 9")
    drained = jobs.requeue(take(jobs), reason="drain", count=Count.DRAINS)
    assert (drained.lost, drained.drains, len(drained.losses)) == (1, 1, 1)
    take(jobs, "host:2", lease_s=-1)
    (expired,) = jobs.expire(max_lost=3)
    assert (expired.status, expired.lost) == (Status.QUEUED, 2)
    job = lose(jobs, take(jobs, "host:3", pid=43), cause="killed by signal 11")
    assert job == jobs.get("local", job.id)
    assert (job.status, job.lost, job.failures, job.attempt) == (Status.FAILED, 3, 0, 4)
    known = [(loss["attempt"], loss["worker"], loss["cause"]) for loss in job.losses]
    assert known == [
        (1, "host:1", "killed by signal 9"),
        (3, "host:2", "lease expired"),
        (4, "host:3", "killed by signal 11"),
    ]
    assert job.error is not None
    assert (job.error["code"], job.error["losses"]) == ("quarantined", job.losses)
    assert "killed by signal 11" in job.error["detail"]
    assert told(jobs, job.id)[-1] == "failed"


def test_three_deploys_do_not_quarantine_a_job(jobs: Jobs) -> None:
    job = jobs.requeue(claimed(jobs), reason="drain", count=Count.DRAINS)
    for _ in range(4):
        job = jobs.requeue(take(jobs), reason="drain", count=Count.DRAINS)
    assert (job.drains, job.lost) == (5, 0)
    assert lose(jobs, take(jobs, "host:1", pid=41)).status is Status.QUEUED


def test_a_cancel_asked_for_wins_over_a_loss_which_is_still_told_of(jobs: Jobs) -> None:
    jobs.add("local", "edit", {})
    claim = take(jobs, "host:1", pid=41)
    jobs.request_cancel("local", claim.job.id)
    job = lose(jobs, claim, max_lost=1)
    assert (job.status, job.lost, job.error) == (Status.CANCELED, 1, None)
    assert [loss["cause"] for loss in job.losses] == ["killed by signal 9"]


def test_a_loss_noticed_by_many_at_once_counts_once(jobs: Jobs) -> None:
    jobs.add("local", "edit", {})
    claim = take(jobs, "host:1", pid=41, lease_s=-1)
    results: Any = together(
        *[lambda: jobs.release("host:1", 41, cause="killed by signal 9", max_lost=3)] * 2,
        *[lambda: jobs.expire(max_lost=3)] * 2,
    )
    assert sum(len(changed) for changed in results) == 1
    job = jobs.get("local", claim.job.id)
    assert (job.lost, len(job.losses)) == (1, 1)


def test_many_losses_are_found_in_one_pass(records: Records) -> None:
    jobs = records.jobs
    for _ in range(120):
        jobs.add("local", "edit", {})
        take(jobs, lease_s=-1)
    assert len(jobs.expire(max_lost=3)) == 120
    assert jobs.expire(max_lost=3) == ()
