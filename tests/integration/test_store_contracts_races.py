"""Many threads and processes at one table."""

import collections
import itertools
import multiprocessing
import os
import threading
from functools import partial
from typing import Any

import pytest
from job_steps import ERROR, claimed, options, together

from storage.database import Database
from storage.errors import JobEnded, LeaseLost
from storage.jobs import SqlJobs
from storage.records import Claim, Count, Job, Priority, Status
from storage.stores import Jobs, Locks
from storage.upkeep import Outbox

ENDS = ("succeeded", "failed", "canceled")
HOOK = {"url": "https://example.org/hook"}


def test_threads_claim_every_job_once(jobs: Jobs) -> None:
    ids = [jobs.add("local", "edit", {}).id for _ in range(24)]

    def work(worker: str) -> list[str]:
        done = []
        while claim := jobs.claim("gpu", worker, lease_s=60):
            jobs.succeed(claim, {}, {"worker": worker})
            done.append(claim.job.id)
        return done

    taken: Any = together(*(lambda w=f"w{i}": work(w) for i in range(6)))
    assert sorted(itertools.chain(*taken)) == sorted(ids)
    ended = [jobs.get("local", job_id) for job_id in ids]
    assert {(job.status, job.attempt) for job in ended} == {(Status.SUCCEEDED, 1)}


def test_of_five_claims_at_once_one_holds_the_job(jobs: Jobs) -> None:
    for _ in range(10):
        job = jobs.add("local", "edit", {})
        claims = together(*(partial(jobs.claim, "gpu", f"w{i}", lease_s=60) for i in range(5)))
        (claim,) = (claim for claim in claims if claim is not None)
        assert isinstance(claim, Claim)
        assert jobs.get("local", job.id) == claim.job
        assert [event.type for event in jobs.events("local", job.id)] == ["queued", "running"]
        jobs.succeed(claim, {}, {})


def test_twenty_workers_of_many_tenants_never_wait_for_each_other_in_a_circle(jobs: Jobs) -> None:
    classes = itertools.cycle(Priority)
    for i in range(60):
        jobs.add(f"tenant-{i % 4}", "edit", {}, options=options(priority=next(classes), webhook=HOOK))

    def work(worker: str) -> list[str]:
        taken = []
        while claim := jobs.claim("gpu", worker, lease_s=60):
            taken.append(claim.job.id)
        return taken

    taken: Any = together(*(partial(work, f"w{i}") for i in range(20)))
    assert all(isinstance(ids, list) for ids in taken)
    assert len(set(itertools.chain(*taken))) == sum(map(len, taken)) == 60


def test_cancel_and_completion_at_once_leave_one_end_and_one_webhook_call(jobs: Jobs, outbox: Outbox) -> None:
    for _ in range(12):
        jobs.add("local", "edit", {}, options=options(webhook=HOOK))
        claim = jobs.claim("gpu", "w", lease_s=60)
        assert claim is not None
        job_id = claim.job.id
        answers = together(
            partial(jobs.succeed, claim, {}, {}),
            partial(jobs.request_cancel, "local", job_id),
            partial(jobs.canceled, claim),
        )
        assert sum(isinstance(answer, LeaseLost) for answer in answers) == 1
        assert isinstance(answers[1], Job | JobEnded)
        job = jobs.get("local", job_id)
        ends = [event for event in jobs.events("local", job_id) if event.type in ENDS]
        assert [event.type for event in ends] == [job.status.value]
        assert job.status in (Status.SUCCEEDED, Status.CANCELED)
        calls = [(call.id, call.type) for call in outbox.list("local", job_id)]
        assert calls == [(f"{job_id}-{ends[0].number}", f"job.{job.status.value}")]


def test_one_of_two_ends_wins(jobs: Jobs) -> None:
    for _ in range(8):
        claim = claimed(jobs)
        results = together(
            partial(jobs.succeed, claim, {}, {}),
            partial(jobs.fail, claim, ERROR),
            partial(jobs.requeue, claim, reason="drain", count=Count.DRAINS),
        )
        assert sum(isinstance(result, LeaseLost) for result in results) == 2
        numbers = [event.number for event in jobs.events("local", claim.job.id)]
        assert numbers == [1, 2, 3]
        if jobs.get("local", claim.job.id).status is Status.QUEUED:
            jobs.request_cancel("local", claim.job.id)


def test_cancel_and_claim_at_once_leave_no_half_state(jobs: Jobs) -> None:
    for _ in range(8):
        job = jobs.add("local", "edit", {})
        claim, _ = together(
            partial(jobs.claim, "gpu", "w", lease_s=60), partial(jobs.request_cancel, "local", job.id)
        )
        after = jobs.get("local", job.id)
        assert (after.status is Status.CANCELED) == (claim is None)
        assert after.cancel_requested
        if claim is not None:
            jobs.canceled(claim)


def test_expiry_by_many_counts_once(jobs: Jobs) -> None:
    claim = claimed(jobs, lease_s=-1)
    results: Any = together(*(lambda: jobs.expire(max_lost=3) for _ in range(4)))
    assert sum(len(expired) for expired in results) == 1
    assert jobs.get("local", claim.job.id).lost == 1


def test_a_lock_is_got_by_one_of_many(locks: Locks) -> None:
    release = threading.Event()
    asked = threading.Semaphore(0)

    def take() -> bool:
        with locks.hold("pass", lease_s=60) as held:
            asked.release()
            if held:
                for _ in range(5):
                    asked.acquire()
                release.set()
            else:
                release.wait(10)
        return held

    assert collections.Counter(together(*(take for _ in range(5)))) == {True: 1, False: 4}


def claim_all(url: str, worker: str, gate: Any, results: Any) -> None:
    jobs = SqlJobs(Database(url))
    gate.wait()
    done = []
    while claim := jobs.claim("gpu", worker, lease_s=60):
        jobs.renew(claim, lease_s=60)
        jobs.succeed(claim, {}, {})
        done.append(claim.job.id)
    results.put(done)


def test_processes_claim_every_job_once(database: Database) -> None:
    jobs = SqlJobs(database)
    ids = [jobs.add("local", "edit", {}).id for _ in range(20)]
    spawn = multiprocessing.get_context("spawn")
    gate, results = spawn.Barrier(3), spawn.Queue()
    url = database.url.render_as_string(hide_password=False)
    workers = [spawn.Process(target=claim_all, args=(url, f"w{i}", gate, results)) for i in range(3)]
    for worker in workers:
        worker.start()
    taken = [job_id for _ in workers for job_id in results.get(timeout=60)]
    for worker in workers:
        worker.join()
    assert sorted(taken) == sorted(ids)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_opens_connections_of_its_own(database: Database) -> None:
    jobs = SqlJobs(database)
    job = jobs.add("local", "edit", {})  # the pool holds a connection now
    child = os.fork()
    if child == 0:
        ok = all(jobs.get("local", job.id).id == job.id for _ in range(20))
        claim = jobs.claim("gpu", "child", lease_s=60)
        os._exit(0 if ok and claim is not None else 1)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        assert jobs.get("local", job.id).id == job.id
    assert jobs.get("local", job.id).worker == "child"
    with pytest.raises(ChildProcessError):
        os.waitpid(child, 0)
