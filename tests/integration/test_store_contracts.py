"""What every jobs table does, whichever keeps it: memory, SQLite, PostgreSQL.

How a job is added, claimed, renewed, listed, and how it ends well or goes back to the queue.
The contracts of the other stores are in test_store_contracts_*.py.
"""

import dataclasses
import math
import time

import pytest
from job_steps import ERROR, REF, claimed, told

from storage.errors import InvalidInput, JobNotFound, LeaseLost
from storage.records import Count, Status
from storage.stores import Jobs


def test_a_new_job_is_queued_and_found_by_its_tenant_only(jobs: Jobs) -> None:
    spec = {
        "kind": "edit",
        "steps": 3,
        "lr": 0.02,
        "image": None,
        "mask_operations": [{"op": "grow", "px": -1}],
    }
    job = jobs.add("local", "edit", spec)
    assert job == jobs.get("local", job.id)
    assert (job.status, job.kind, job.queue, job.spec) == (Status.QUEUED, "edit", "gpu", spec)
    assert (job.attempt, job.failures, job.lost, job.cancel_requested) == (0, 0, 0, False)
    assert (job.worker, job.lease_until, job.checkpoint, job.error) == (None, None, None, None)
    assert (job.outputs, job.result, job.started_at, job.ended_at) == ({}, {}, None, None)
    assert abs(job.created_at - time.time()) < 60
    assert told(jobs, job.id) == ["queued"]
    for ask in (jobs.get, jobs.events, jobs.request_cancel):
        with pytest.raises(JobNotFound):
            ask("somebody", job.id)
    with pytest.raises(JobNotFound):
        jobs.get("local", "f" * 32)


def test_what_is_given_back_is_a_copy(jobs: Jobs) -> None:
    spec = {"names": ["a"]}
    job = jobs.add("local", "edit", spec)
    spec["names"].append("b")
    job.spec["names"].append("c")
    assert jobs.get("local", job.id).spec == {"names": ["a"]}


def test_claims_take_the_oldest_first_and_each_job_once(jobs: Jobs) -> None:
    added = [jobs.add("local", "edit", {}) for _ in range(4)]
    other = jobs.add("local", "edit", {}, queue="cpu")
    assert [jobs.position(job) for job in added] == [0, 1, 2, 3]
    assert jobs.eligible("gpu") == 4
    claims = [jobs.claim("gpu", f"w{i}", lease_s=60) for i in range(5)]
    assert [claim.job.id for claim in claims if claim] == [job.id for job in added]
    assert claims[4] is None
    assert jobs.eligible("gpu") == 0
    assert jobs.eligible("cpu") == 1
    assert [job.id for job in jobs.running()] == [job.id for job in added]
    last = jobs.claim("cpu", "w", lease_s=60)
    assert last is not None
    assert last.job.id == other.id


def test_a_claim_starts_an_attempt_with_a_lease_and_a_secret_token(jobs: Jobs) -> None:
    claim = claimed(jobs, lease_s=60)
    job = jobs.get("local", claim.job.id)
    assert job == claim.job
    assert (job.status, job.attempt, job.worker) == (Status.RUNNING, 1, "worker:1:gpu")
    assert job.lease_until is not None
    assert job.started_at is not None
    assert job.lease_until - job.started_at == pytest.approx(60, abs=1)
    assert claim.token not in repr(claim)
    assert told(jobs, job.id) == ["queued", "running"]
    assert jobs.events("local", job.id, after=1)[0].data == {"attempt": 1, "worker": "worker:1:gpu"}
    assert jobs.events("local", job.id, after=2) == ()


def test_a_renewal_moves_the_lease_and_brings_cancel_back(jobs: Jobs) -> None:
    claim = claimed(jobs, lease_s=10)
    renewal = jobs.renew(claim, lease_s=100)
    assert renewal.lease_until == jobs.get("local", claim.job.id).lease_until
    assert renewal.lease_until > (claim.job.lease_until or math.inf) + 80
    assert not renewal.cancel_requested
    jobs.request_cancel("local", claim.job.id)
    assert jobs.renew(claim, lease_s=100).cancel_requested


def test_a_checkpoint_outlives_its_attempt(jobs: Jobs) -> None:
    claim = claimed(jobs)
    jobs.checkpointed(claim, REF)
    jobs.requeue(claim, reason="drain", count=Count.DRAINS)
    again = jobs.claim("gpu", "w2", lease_s=60)
    assert again is not None
    assert again.job.checkpoint == REF
    assert (again.job.attempt, again.job.worker) == (2, "w2")


def test_success_keeps_outputs_and_result_and_may_be_said_twice(jobs: Jobs) -> None:
    claim = claimed(jobs)
    result = {"iou_after": 0.8, "psnr_outside_db": math.inf, "losses": [math.nan, 1.5]}
    job = jobs.succeed(claim, {"a.png": REF}, result)
    assert job == jobs.get("local", job.id)
    assert (job.status, job.outputs, job.error) == (Status.SUCCEEDED, {"a.png": REF}, None)
    assert job.result == {"iou_after": 0.8, "psnr_outside_db": None, "losses": [None, 1.5]}  # JSON has no NaN
    assert job.lease_until is None
    assert job.ended_at is not None
    assert jobs.succeed(claim, {}, {}) == job
    assert told(jobs, job.id) == ["queued", "running", "succeeded"]
    forged = dataclasses.replace(claim, token="f" * 64)
    with pytest.raises(LeaseLost):
        jobs.succeed(forged, {}, {})


def test_a_job_without_outputs_may_succeed(jobs: Jobs) -> None:
    job = jobs.succeed(claimed(jobs), {}, {})
    assert (job.status, job.outputs, job.result) == (Status.SUCCEEDED, {}, {})


def test_failure_keeps_the_error(jobs: Jobs) -> None:
    job = jobs.fail(claimed(jobs), {**ERROR, "detail": "a\0b \udc80"})
    assert job == jobs.get("local", job.id)
    assert (job.status, job.outputs) == (Status.FAILED, {})
    assert job.error == {"code": "non_finite", "detail": "a\0b \udc80"}
    assert jobs.events("local", job.id)[-1].data["error"]["code"] == "non_finite"


def test_a_requeued_job_waits_and_counts(jobs: Jobs) -> None:
    claim = claimed(jobs)
    job = jobs.requeue(claim, reason="retry", delay_s=0.6, count=Count.FAILURES, error=ERROR)
    assert (job.status, job.failures, job.lost, job.attempt, job.worker) == (Status.QUEUED, 1, 0, 1, None)
    assert job.error is None
    assert jobs.events("local", job.id)[-1].data == {
        "reason": "retry", "attempt": 1, "delay_s": 0.6, "failures": 1, "error": ERROR,
    }  # fmt: skip
    assert jobs.eligible("gpu") == 0
    assert jobs.claim("gpu", "w", lease_s=60) is None
    time.sleep(0.65)
    again = jobs.claim("gpu", "w", lease_s=60)
    assert again is not None
    drained = jobs.requeue(again, reason="drain", count=Count.DRAINS)
    assert (drained.failures, drained.lost, drained.attempt) == (1, 0, 2)


def test_a_requeued_job_keeps_its_turn(jobs: Jobs) -> None:
    claim = claimed(jobs)
    later = jobs.add("local", "edit", {})
    job = jobs.requeue(claim, reason="drain", count=Count.DRAINS)
    assert (jobs.position(job), jobs.position(later)) == (0, 1)


def test_pages_run_newest_first_and_stay_stable_while_jobs_come(jobs: Jobs) -> None:
    added = [jobs.add("local", "edit" if i % 2 else "sample", {}).id for i in range(7)]
    jobs.add("somebody", "edit", {})
    seen: list[str] = []
    cursor = None
    while True:
        page = jobs.list("local", limit=3, cursor=cursor)
        seen += [job.id for job in page.items]
        jobs.add("local", "edit", {})
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == added[::-1]


def test_lists_are_filtered(jobs: Jobs) -> None:
    first, second = jobs.add("local", "edit", {}), jobs.add("local", "sample", {})
    jobs.request_cancel("local", first.id)
    assert [job.id for job in jobs.list("local", kind="sample").items] == [second.id]
    assert [job.id for job in jobs.list("local", status=Status.CANCELED).items] == [first.id]
    assert jobs.list("local", status=Status.FAILED).items == ()
    page = jobs.list("local", limit=2)
    assert (len(page.items), page.next_cursor) == (2, None)


@pytest.mark.parametrize("cursor", ["", "x", "W10", "éé", "W251bGwsICJhIl0", "Z" * 4000])
def test_a_cursor_made_elsewhere_is_refused(jobs: Jobs, cursor: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        jobs.list("local", cursor=cursor)
    assert caught.value.field == "cursor"
