"""What callers ask of a job: options, one submit under one key, stop, deadlines. Over every backend."""

from functools import partial
from typing import Any

import pytest
from job_steps import ERROR, REF, claimed, elapse, options, take, together, told
from store_records import Records

from storage.errors import JobEnded, JobNotFound, KeyReused, NothingToStop
from storage.records import Count, IdempotencyKey, Job, Priority, Status
from storage.stores import Jobs

KEY = IdempotencyKey("order 66", "a" * 64)
OTHER_BODY = IdempotencyKey("order 66", "b" * 64)


def add(jobs: Jobs, **members: Any) -> Job:
    return jobs.add("local", "edit", {}, options=options(**members))


def test_options_are_kept_beside_the_spec(jobs: Jobs) -> None:
    webhook = {"url": "https://example.org/hook", "events": ["running", "failed"]}
    wanted = options(priority="bulk", start_within_s=60, finish_within_s=3600, keep_s=7200, webhook=webhook)
    job = jobs.add("local", "edit", {"steps": 3}, options=wanted, retry_of="f" * 32)
    assert job == jobs.get("local", job.id)
    assert (job.spec, job.priority, job.keep_s) == ({"steps": 3}, Priority.BULK, 7200)
    assert (job.webhook, job.retry_of) == (webhook, "f" * 32)
    assert job.start_by == pytest.approx(job.created_at + 60, abs=1)
    assert job.finish_by == pytest.approx(job.created_at + 3600, abs=1)


def test_without_options_there_are_no_deadlines(jobs: Jobs) -> None:
    job = jobs.add("local", "edit", {})
    assert (job.priority, job.retry_of, job.webhook, job.keep_s) == (Priority.STANDARD, None, None, None)
    assert (job.start_by, job.finish_by, job.outputs_expired_at) == (None, None, None)
    assert (job.losses, job.worker_pid, job.stop_requested) == ([], None, False)
    assert jobs.overdue() == ()


def test_a_submit_under_a_known_key_adds_nothing(jobs: Jobs) -> None:
    assert jobs.added("local", KEY) is None
    job = jobs.add("local", "edit", {"steps": 3}, idempotency=KEY)
    assert jobs.add("local", "edit", {"steps": 3}, idempotency=KEY) == job
    jobs.succeed(take(jobs), {}, {})
    again = jobs.add("local", "edit", {"steps": 3}, idempotency=KEY)
    assert again == jobs.added("local", KEY) == jobs.get("local", job.id)  # the job as it is now
    assert again.status is Status.SUCCEEDED
    assert len(jobs.list("local").items) == 1


def test_a_key_names_one_request_of_one_tenant(jobs: Jobs) -> None:
    job = jobs.add("local", "edit", {}, idempotency=KEY)
    for ask in (
        lambda: jobs.add("local", "edit", {"steps": 4}, idempotency=OTHER_BODY),
        lambda: jobs.added("local", OTHER_BODY),
    ):
        with pytest.raises(KeyReused, match=job.id):
            ask()
    assert jobs.added("somebody", OTHER_BODY) is None
    theirs = jobs.add("somebody", "edit", {}, idempotency=OTHER_BODY)
    other = jobs.add("local", "edit", {}, idempotency=IdempotencyKey("order 67", KEY.sha256))
    assert len({job.id, theirs.id, other.id}) == 3
    assert [event.type for event in jobs.events("local", job.id)] == ["queued"]


def test_of_submits_at_once_under_one_key_one_adds_a_job(jobs: Jobs) -> None:
    for number in range(6):
        key = IdempotencyKey(f"order {number}", "a" * 64)
        added: Any = together(*[partial(jobs.add, "local", "edit", {}, idempotency=key)] * 4)
        assert len({job.id for job in added}) == 1
        assert told(jobs, added[0].id) == ["queued"]
    assert len(jobs.list("local").items) == 6


def test_of_different_bodies_at_once_under_one_key_one_is_refused(jobs: Jobs) -> None:
    for number in range(4):
        keys = [IdempotencyKey(f"order {number}", digest * 64) for digest in "ab"]
        results = together(*(partial(jobs.add, "local", "edit", {}, idempotency=key) for key in keys))
        assert sorted(type(result).__name__ for result in results) == ["Job", "KeyReused"]
    assert len(jobs.list("local").items) == 4


def test_stop_of_a_running_job_is_a_wish_told_once_and_brought_by_renewals(jobs: Jobs) -> None:
    claim = claimed(jobs)
    assert not jobs.renew(claim, lease_s=60).stop_requested
    for _ in range(2):
        job = jobs.request_stop("local", claim.job.id)
        assert (job.status, job.stop_requested, job.cancel_requested) == (Status.RUNNING, True, False)
    renewal = jobs.renew(claim, lease_s=60)
    assert (renewal.stop_requested, renewal.cancel_requested) == (True, False)
    assert jobs.succeed(claim, {}, {"stopped_early": True}).status is Status.SUCCEEDED
    assert told(jobs, claim.job.id) == ["queued", "running", "stop_requested", "succeeded"]
    with pytest.raises(JobEnded):
        jobs.request_stop("local", claim.job.id)


def test_stop_outlives_an_attempt(jobs: Jobs) -> None:
    claim = claimed(jobs)
    jobs.request_stop("local", claim.job.id)
    jobs.requeue(claim, reason="drain", count=Count.DRAINS)
    again = take(jobs)
    assert again.job.stop_requested
    assert jobs.renew(again, lease_s=60).stop_requested


def test_a_queued_job_is_stopped_where_it_has_something_to_show(jobs: Jobs) -> None:
    claim = claimed(jobs)
    jobs.checkpointed(claim, REF)
    jobs.requeue(claim, reason="drain", count=Count.DRAINS)
    job = jobs.request_stop("local", claim.job.id)
    assert (job.status, job.stop_requested) == (Status.QUEUED, True)
    new = jobs.add("local", "edit", {})
    with pytest.raises(NothingToStop):
        jobs.request_stop("local", new.id)
    assert jobs.get("local", new.id) == new


def test_an_ended_job_takes_no_wishes(jobs: Jobs) -> None:
    job = jobs.fail(claimed(jobs), ERROR)
    for ask in (
        lambda: jobs.request_stop("local", job.id),
        lambda: jobs.request_cancel("local", job.id),
        lambda: jobs.set_priority("local", job.id, Priority.BULK),
    ):
        with pytest.raises(JobEnded):
            ask()
    assert jobs.get("local", job.id) == job


def test_wishes_for_a_job_of_others_find_none(jobs: Jobs) -> None:
    job = jobs.add("somebody", "edit", {})
    for ask in (
        lambda: jobs.request_stop("local", job.id),
        lambda: jobs.set_priority("local", job.id, Priority.BULK),
    ):
        with pytest.raises(JobNotFound):
            ask()
    assert jobs.get("somebody", job.id) == job


def test_what_has_not_begun_in_time_fails_and_is_not_claimed(records: Records) -> None:
    jobs = records.jobs
    late, fine = add(jobs, start_within_s=60), add(jobs, start_within_s=7200)
    assert jobs.overdue() == ()
    elapse(records, late, 61)
    elapse(records, fine, 61)
    assert jobs.eligible("gpu") == 1
    assert take(jobs).job.id == fine.id
    assert jobs.claim("gpu", "w", lease_s=60) is None
    (ended,) = jobs.overdue()
    assert (ended.id, ended.status, ended.failures, ended.lost) == (late.id, Status.FAILED, 0, 0)
    assert ended.error is not None
    assert ended.error["code"] == "deadline_passed"
    assert ended == jobs.get("local", late.id)
    assert told(jobs, late.id) == ["queued", "failed"]
    assert jobs.overdue() == ()


def test_a_job_that_began_in_time_may_begin_again_later(records: Records) -> None:
    jobs = records.jobs
    job = add(jobs, start_within_s=60)
    jobs.requeue(take(jobs), reason="drain", count=Count.DRAINS)
    elapse(records, job, 3600)
    assert jobs.overdue() == ()
    assert take(jobs).job.id == job.id


@pytest.mark.parametrize("running", [True, False])
def test_what_has_not_ended_in_time_fails_wherever_it_is(records: Records, running: bool) -> None:
    jobs = records.jobs
    job = add(jobs, start_within_s=60, finish_within_s=60)
    claim = take(jobs)
    if not running:
        jobs.requeue(claim, reason="retry", count=Count.OUTAGES, delay_s=3600)
    elapse(records, job, 61)
    (ended,) = jobs.overdue()
    assert (ended.status, ended.lease_until) == (Status.FAILED, None)
    assert ended.error is not None
    assert ended.error["code"] == "deadline_passed"
    with pytest.raises(Exception, match="no longer holds"):
        jobs.succeed(claim, {}, {})
    assert jobs.claim("gpu", "w", lease_s=60) is None


def test_a_cancel_asked_for_wins_over_a_deadline(records: Records) -> None:
    jobs = records.jobs
    job = add(jobs, finish_within_s=60)
    take(jobs)
    jobs.request_cancel("local", job.id)
    elapse(records, job, 61)
    assert [ended.status for ended in jobs.overdue()] == [Status.CANCELED]


def test_deadlines_found_by_many_at_once_end_a_job_once(records: Records) -> None:
    jobs = records.jobs
    job = add(jobs, finish_within_s=60)
    elapse(records, job, 61)
    results: Any = together(*[jobs.overdue] * 4)
    assert sum(len(ended) for ended in results) == 1
    assert told(jobs, job.id) == ["queued", "failed"]
