"""Small jobs that are claimed together and end together, over every store."""

import pytest
from job_steps import REF, take, together, told
from store_records import Records

from storage.library_records import Ending
from storage.limit_records import Limit
from storage.records import Claim, Count, Job, Priority, Status
from storage.specs import JobOptions
from storage.stores import Jobs


def add(jobs: Jobs, count: int, kind: str = "sample", tenant_id: str = "local") -> list[str]:
    return [jobs.add(tenant_id, kind, {}).id for _ in range(count)]


def claim(jobs: Jobs, most: int = 16, worker: str = "w") -> list[Claim]:
    return list(jobs.claim_together("gpu", worker, lease_s=60, pid=7, most=lambda _kind: most))


def ids(claims: list[Claim]) -> list[str]:
    return [each.job.id for each in claims]


def test_a_claim_takes_the_next_of_its_kind_oldest_first_and_no_more_than_it_may(jobs: Jobs) -> None:
    waiting = add(jobs, 5)
    first = claim(jobs, 3)
    assert ids(first) == waiting[:3]
    assert ids(claim(jobs, 1)) == waiting[3:4]
    assert ids(claim(jobs)) == waiting[4:]
    assert claim(jobs) == []
    for each in first:
        assert (each.job.status, each.job.attempt, each.job.worker_pid) == (Status.RUNNING, 1, 7)
        assert told(jobs, each.job.id) == ["queued", "running"]
        assert jobs.renew(each, lease_s=60).lease_until > each.job.updated_at


def test_other_kinds_classes_and_tenants_and_what_was_tried_before_are_left(jobs: Jobs) -> None:
    (tried,) = add(jobs, 1)
    jobs.requeue(take(jobs), reason="retry", count=Count.FAILURES)
    first, other = add(jobs, 1), add(jobs, 1, "edit")
    slow = jobs.add("local", "sample", {}, options=JobOptions(priority=Priority.BULK)).id
    second, foreign = add(jobs, 1), add(jobs, 1, tenant_id="globex")
    assert ids(claim(jobs)) == foreign  # whose turn it is
    assert ids(claim(jobs)) == [tried]  # alone: it may be what fails
    assert ids(claim(jobs)) == first + second
    assert ids(claim(jobs)) == other
    assert ids(claim(jobs)) == [slow]


def test_a_tenant_gets_no_more_than_it_may_run(records: Records) -> None:
    records.limits.set("local", Limit.JOBS_RUNNING, 3)
    waiting = add(records.jobs, 6)
    assert ids(claim(records.jobs, 2)) == waiting[:2]
    assert ids(claim(records.jobs)) == waiting[2:3]
    assert claim(records.jobs) == []


def test_two_workers_that_claim_at_once_share_the_jobs(jobs: Jobs) -> None:
    waiting = add(jobs, 24)
    found = together(*(lambda name=name: claim(jobs, 4, name) for name in "abcd"))
    taken = [job_id for claims in found for job_id in ids(claims)]
    assert len(taken) == len(set(taken))
    while rest := claim(jobs):
        taken += ids(rest)
    assert sorted(taken) == sorted(waiting)


def ending(claim: Claim, held_s: float | None = None) -> Ending:
    return Ending(claim, {"a.png": REF}, {"seconds": 1}, held_s=held_s)


def test_they_succeed_together_but_for_one_whose_claim_is_lost(jobs: Jobs) -> None:
    add(jobs, 3)
    one, lost, other = claim(jobs)
    jobs.requeue(lost, reason="drain", count=Count.DRAINS)
    rows = jobs.succeed_together([ending(each, held_s=0.5) for each in (one, lost, other)])
    assert [row and row.status for row in rows] == [Status.SUCCEEDED, None, Status.SUCCEEDED]
    for row in rows:
        if row is not None:
            assert row == jobs.get("local", row.id)
            assert (row.outputs, row.result, row.gpu_s) == ({"a.png": REF}, {"seconds": 1}, 0.5)
            assert told(jobs, row.id) == ["queued", "running", "succeeded"]
    assert jobs.get("local", lost.job.id).status is Status.QUEUED
    again = jobs.succeed_together([ending(one), ending(other)])
    assert again == (rows[0], rows[2])  # an answer that was lost is given again
    sums: Job = jobs.usage("local", since_day=0)[0]
    assert (sums.jobs, sums.attempts) == (2, 3)
    assert sums.gpu_s == pytest.approx(1.0, abs=0.2)
