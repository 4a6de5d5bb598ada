"""What every jobs table does with cancels, lost workers, late writers and ended jobs."""

import dataclasses
import time

import pytest
from job_steps import ERROR, REF, claimed, told

from storage.errors import JobEnded, LeaseLost
from storage.records import Claim, Count, Job, Status
from storage.stores import Jobs


def test_cancel_of_a_queued_job_is_at_once(jobs: Jobs) -> None:
    job = jobs.request_cancel("local", jobs.add("local", "edit", {}).id)
    assert (job.status, job.cancel_requested, job.attempt) == (Status.CANCELED, True, 0)
    assert job.ended_at is not None
    assert told(jobs, job.id) == ["queued", "canceled"]
    assert jobs.claim("gpu", "w", lease_s=60) is None


def test_cancel_of_a_running_job_is_a_wish_told_once(jobs: Jobs) -> None:
    claim = claimed(jobs)
    for _ in range(2):
        job = jobs.request_cancel("local", claim.job.id)
        assert (job.status, job.cancel_requested) == (Status.RUNNING, True)
    job = jobs.canceled(claim)
    assert job.status is Status.CANCELED
    assert told(jobs, job.id) == ["queued", "running", "cancel_requested", "canceled"]


def test_success_before_the_wish_was_noticed_counts(jobs: Jobs) -> None:
    claim = claimed(jobs)
    jobs.request_cancel("local", claim.job.id)
    assert jobs.succeed(claim, {}, {}).status is Status.SUCCEEDED


def test_a_cancel_asked_for_wins_over_a_requeue(jobs: Jobs) -> None:
    claim = claimed(jobs)
    jobs.request_cancel("local", claim.job.id)
    job = jobs.requeue(claim, reason="retry", count=Count.FAILURES, error=ERROR)
    assert (job.status, job.failures) == (Status.CANCELED, 1)
    assert job == jobs.get("local", job.id)


@pytest.mark.parametrize("end", ["succeed", "fail", "cancel"])
def test_an_ended_job_never_changes(jobs: Jobs, end: str) -> None:
    claim = claimed(jobs)
    ended = {
        "succeed": lambda: jobs.succeed(claim, {}, {}),
        "fail": lambda: jobs.fail(claim, ERROR),
        "cancel": lambda: jobs.canceled(claim),
    }[end]()
    with pytest.raises(JobEnded):
        jobs.request_cancel("local", ended.id)
    refused = [
        lambda: jobs.renew(claim, lease_s=1),
        lambda: jobs.checkpointed(claim, REF),
        lambda: jobs.requeue(claim, reason="drain", count=Count.DRAINS),
        lambda: jobs.fail(claim, ERROR),
        lambda: jobs.canceled(claim),
    ]
    if end != "succeed":
        refused.append(lambda: jobs.succeed(claim, {}, {}))
    for write in refused:
        with pytest.raises(LeaseLost):
            write()
    assert jobs.expire(max_lost=3) == ()
    assert jobs.get("local", ended.id) == ended


def test_expiry_requeues_and_the_old_attempt_is_refused(jobs: Jobs) -> None:
    claim = claimed(jobs, lease_s=0.02)
    safe = claimed(jobs, lease_s=60)
    time.sleep(0.05)
    (job,) = jobs.expire(max_lost=3)
    assert (job.id, job.status, job.lost, job.failures) == (claim.job.id, Status.QUEUED, 1, 0)
    assert jobs.events("local", job.id)[-1].data["reason"] == "lease_expired"
    again = jobs.claim("gpu", "w2", lease_s=60)
    assert again is not None
    assert (again.job.id, again.job.attempt) == (job.id, 2)
    stale: list[Claim] = [
        claim,
        dataclasses.replace(claim, job=again.job),
        dataclasses.replace(again, job=claim.job),
    ]
    for old in stale:
        for write in (
            lambda old=old: jobs.renew(old, lease_s=60),
            lambda old=old: jobs.checkpointed(old, REF),
            lambda old=old: jobs.succeed(old, {"a.png": REF}, {}),
            lambda old=old: jobs.fail(old, ERROR),
            lambda old=old: jobs.canceled(old),
            lambda old=old: jobs.requeue(old, reason="drain", count=Count.DRAINS),
        ):
            with pytest.raises(LeaseLost):
                write()
    assert jobs.get("local", job.id) == again.job
    assert jobs.get("local", safe.job.id).status is Status.RUNNING


def test_expiry_cancels_where_that_was_asked_and_fails_what_is_lost_too_often(jobs: Jobs) -> None:
    wished = claimed(jobs, lease_s=0.02)
    jobs.request_cancel("local", wished.job.id)
    unlucky = claimed(jobs, lease_s=0.02)
    time.sleep(0.05)
    ended: dict[str, Job] = {job.id: job for job in jobs.expire(max_lost=1)}
    assert ended[wished.job.id].status is Status.CANCELED
    lost = ended[unlucky.job.id]
    assert (lost.status, lost.lost, lost.failures) == (Status.FAILED, 1, 0)
    assert lost.error is not None
    assert lost.error["code"] == "quarantined"
    assert told(jobs, lost.id) == ["queued", "running", "failed"]


def test_a_late_renewal_before_expiry_keeps_the_claim(jobs: Jobs) -> None:
    claim = claimed(jobs, lease_s=0.02)
    time.sleep(0.05)
    jobs.renew(claim, lease_s=60)
    assert jobs.expire(max_lost=3) == ()


def test_the_last_failure_counts_too(jobs: Jobs) -> None:
    claim = claimed(jobs)
    jobs.requeue(claim, reason="retry", count=Count.FAILURES, error=ERROR)
    again = jobs.claim("gpu", "w", lease_s=60)
    assert again is not None
    failed = jobs.fail(again, ERROR)
    assert (failed.status, failed.failures) == (Status.FAILED, 2)
    assert failed == jobs.get("local", failed.id)
