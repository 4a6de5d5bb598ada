"""What jobs come to: GPU seconds on their rows, sums by tenant and day, and what stands in the queues now."""

import threading
import time

import pytest
from job_steps import ERROR, REF, claimed, take
from store_records import Records

from storage.records import Claim, Count, Job, Status
from storage.stores import Jobs
from storage.tracing import span, traceparent
from storage.usage import DAY_S

HELD_S = 0.05


def held(jobs: Jobs) -> None:
    time.sleep(HELD_S)


def sums(jobs: Jobs, tenant_id: str | None = "local") -> dict[str, tuple[int, int]]:
    return {use.kind: (use.jobs, use.attempts) for use in jobs.usage(tenant_id, since_day=0)}


def test_gpu_time_is_summed_over_the_attempts_of_a_job(jobs: Jobs) -> None:
    claim = claimed(jobs)
    assert jobs.get("local", claim.job.id).gpu_s == 0
    held(jobs)
    once = jobs.requeue(claim, reason="retry", count=Count.FAILURES)
    assert HELD_S - 0.01 < once.gpu_s < HELD_S + 5
    again = take(jobs)
    held(jobs)
    ended = jobs.succeed(again, {"image.png": REF}, {})
    assert once.gpu_s + HELD_S - 0.01 < ended.gpu_s < once.gpu_s + HELD_S + 5
    (use,) = jobs.usage("local", since_day=0)
    assert (use.tenant_id, use.kind, use.jobs, use.attempts) == ("local", ended.kind, 1, 2)
    assert use.gpu_s == pytest.approx(ended.gpu_s, abs=1e-5)
    assert abs(use.day - time.time() / DAY_S) < 2
    assert jobs.usage("local", since_day=use.day + 1) == ()


def test_every_way_to_leave_a_worker_is_counted_once(jobs: Jobs) -> None:
    endings = {
        "failed": lambda claim: jobs.fail(claim, ERROR),
        "canceled": jobs.canceled,
        "lost": lambda claim: jobs.release(claim.job.worker, claim.job.worker_pid, cause="x", max_lost=1),
        "put back": lambda claim: jobs.requeue(claim, reason="drain", count=Count.DRAINS),
    }
    for kind, end in endings.items():
        jobs.add("local", kind, {}, queue=kind)
        claim = jobs.claim(kind, f"worker of {kind}", lease_s=60, pid=1)
        assert claim is not None
        end(claim)
    jobs.request_cancel("local", jobs.add("local", "never ran", {}).id)
    assert sums(jobs) == {
        "failed": (1, 1), "canceled": (1, 1), "lost": (1, 1), "put back": (0, 1), "never ran": (1, 0)
    }  # fmt: skip


def test_only_gpu_workers_count_as_gpu_time(jobs: Jobs) -> None:
    jobs.add("local", "validate", {}, queue="cpu")
    claim = jobs.claim("cpu", "w", lease_s=60)
    assert claim is not None
    held(jobs)
    assert jobs.succeed(claim, {}, {}).gpu_s == 0
    assert [use.gpu_s for use in jobs.usage("local", since_day=0)] == [0]


def test_a_lost_attempt_counts_no_longer_than_its_lease(jobs: Jobs) -> None:
    job = jobs.add("local", "edit", {})
    assert jobs.claim("gpu", "w", lease_s=0.05)
    time.sleep(0.4)
    jobs.expire(max_lost=3)
    assert jobs.get("local", job.id).gpu_s == pytest.approx(0.05, abs=0.02)


def test_each_tenant_has_an_account_of_its_own(jobs: Jobs) -> None:
    for tenant_id in ("local", "other", "other"):
        jobs.request_cancel(tenant_id, jobs.add(tenant_id, "edit", {}).id)
    assert (sums(jobs), sums(jobs, "other")) == ({"edit": (1, 0)}, {"edit": (2, 0)})
    assert {(use.tenant_id, use.jobs) for use in jobs.usage(None, since_day=0)} == {
        ("local", 1),
        ("other", 2),
    }


def test_sums_of_days_that_ended_long_ago_are_forgotten(records: Records) -> None:
    jobs, retention = records.jobs, records.retention
    for tenant_id in ("local", "other"):
        jobs.request_cancel(tenant_id, jobs.add(tenant_id, "edit", {}).id)
    assert retention.purge_usage(kept_s=1e-6) == 0  # today has not ended
    assert len(jobs.usage(None, since_day=0)) == 2
    left_s = DAY_S - time.time() % DAY_S
    assert retention.purge_usage(kept_s=-left_s - 5) == 2  # as it will be five seconds after midnight
    assert jobs.usage(None, since_day=0) == ()


def test_no_end_is_lost_where_many_come_at_once(jobs: Jobs) -> None:
    def work() -> None:
        for _ in range(5):
            job = jobs.add("local", "edit", {})
            jobs.request_cancel("local", job.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums(jobs) == {"edit": (20, 0)}


def test_what_stands_in_the_queues_is_counted_by_kind(jobs: Jobs) -> None:
    assert jobs.standing() == ()
    jobs.add("local", "sample", {}, queue="cpu")
    assert jobs.claim("cpu", "w", lease_s=60)
    for tenant_id in ("local", "other"):
        jobs.add(tenant_id, "edit", {})
    jobs.requeue(claimed_kind(jobs, "invert"), reason="retry", count=Count.FAILURES, delay_s=100)
    time.sleep(0.05)
    found = {(each.queue, each.kind, each.status): each for each in jobs.standing()}
    assert {place: (each.jobs, each.eligible) for place, each in found.items()} == {
        ("cpu", "sample", Status.RUNNING): (1, 0),
        ("gpu", "edit", Status.QUEUED): (2, 2),
        ("later", "invert", Status.QUEUED): (1, 0),
    }
    assert 0.04 < found["gpu", "edit", Status.QUEUED].longest_wait_s < 60
    jobs.pause("gpu", True)
    assert {each.eligible for each in jobs.standing()} == {0}


def claimed_kind(jobs: Jobs, kind: str) -> Claim:
    jobs.add("local", kind, {}, queue="later")
    claim = jobs.claim("later", "w", lease_s=60)
    assert claim is not None
    return claim


def test_a_job_remembers_the_trace_that_it_was_added_in(jobs: Jobs) -> None:
    assert jobs.add("local", "edit", {}).trace is None
    with span("outer"):
        outer = traceparent()
        job: Job = jobs.add("local", "edit", {})
        with span("inner"):
            assert traceparent() != outer
        assert traceparent() == outer
    assert jobs.get("local", job.id).trace == outer
    assert traceparent() is None
