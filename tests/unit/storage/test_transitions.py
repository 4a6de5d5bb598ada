"""What becomes of a row is decided by pure functions: here without any table."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from storage import transitions
from storage.deliveries import delivery_of
from storage.errors import JobEnded, KeyReused, NothingToStop
from storage.memory_jobs import MemoryJobs
from storage.records import Count, Event, IdempotencyKey, Job, ObjectRef, Priority, Status
from storage.transitions import Change

NOW = 1_700_000_000.0
REF = ObjectRef("local/jobs/x/1/checkpoints/3.safetensors", "0" * 64, 3, "application/octet-stream")
HOOK = {"url": "https://example.org/hook", "events": ["succeeded", "failed"]}


@pytest.fixture
def queued() -> Job:
    return MemoryJobs(clock=lambda: NOW).add("local", "edit", {"steps": 3})


@pytest.fixture
def running() -> Job:
    jobs = MemoryJobs(clock=lambda: NOW)
    jobs.add("local", "edit", {})
    claim = jobs.claim("gpu", "host:1", lease_s=60, pid=41)
    assert claim is not None
    return claim.job


@pytest.mark.parametrize("status", [status for status in Status if status.ended])
def test_an_ended_job_takes_no_wish(running: Job, status: Status) -> None:
    job = replace(running, status=status)
    wishes: list[Callable[[], Change]] = [
        lambda: transitions.cancel(job, NOW),
        lambda: transitions.stop(job),
        lambda: transitions.set_priority(job, Priority.BULK),
    ]
    for wish in wishes:
        with pytest.raises(JobEnded, match=status.value):
            wish()


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.RUNNING])
def test_only_a_running_job_ends_well_or_goes_back(running: Job, status: Status) -> None:
    job = replace(running, status=status)
    with pytest.raises(AssertionError):
        transitions.succeed(job, NOW, {}, {})
    with pytest.raises(AssertionError):
        transitions.requeue(job, NOW, reason="drain", count=Count.DRAINS)


def test_stop_needs_something_to_keep(queued: Job) -> None:
    with pytest.raises(NothingToStop):
        transitions.stop(queued)
    change = transitions.stop(replace(queued, checkpoint=REF))
    assert (change.values, change.event) == ({"stop_requested": True}, "stop_requested")


def test_what_was_wished_already_is_not_told_again(running: Job) -> None:
    wished = replace(running, cancel_requested=True, stop_requested=True)
    assert transitions.cancel(wished, NOW).event is None
    assert transitions.stop(wished).event is None
    assert transitions.set_priority(wished, wished.priority).event is None


@pytest.mark.parametrize("count", list(Count))
def test_a_requeue_counts_one_thing_and_lets_go(running: Job, count: Count) -> None:
    change = transitions.requeue(running, NOW, reason="retry", count=count, delay_s=5)
    assert change.values == {
        "status": "queued",
        "not_before": NOW + 5,
        "token": None,
        "lease_until": None,
        "worker": None,
        "worker_pid": None,
        "claimed_at": None,
        "gpu_s": 0.0,
        count.value: 1,
    }
    assert change.data == {"reason": "retry", "attempt": 1, "delay_s": 5, count.value: 1}


def test_a_loss_is_kept_with_its_cause(running: Job) -> None:
    change = transitions.lose(running, NOW, reason="worker_died", cause="killed by signal 9", max_lost=3)
    loss = {"attempt": 1, "worker": "host:1", "cause": "killed by signal 9", "at": NOW}
    assert (change.event, change.values["lost"], change.values["losses"]) == ("queued", 1, [loss])
    assert change.data["cause"] == "killed by signal 9"


def test_the_last_loss_allowed_is_a_quarantine_with_all_of_them(running: Job) -> None:
    before = {"attempt": 1, "worker": "host:0", "cause": "lease expired", "at": NOW - 9}
    job = replace(running, attempt=2, lost=2, losses=[before])
    change = transitions.lose(job, NOW, reason="lease_expired", cause="lease expired", max_lost=3)
    assert (change.event, change.values["lost"]) == ("failed", 3)
    error = change.values["error"]
    assert error["code"] == "quarantined"
    assert [loss["worker"] for loss in error["losses"]] == ["host:0", "host:1"]
    assert error["losses"] == change.values["losses"] == change.data["error"]["losses"]


def test_a_deadline_says_which_one_it_was(queued: Job) -> None:
    not_begun = transitions.overdue(replace(queued, start_by=NOW - 1), NOW).values["error"]
    not_ended = transitions.overdue(replace(queued, finish_by=NOW - 1), NOW).values["error"]
    assert not_begun["code"] == not_ended["code"] == "deadline_passed"
    assert not_begun["detail"] != not_ended["detail"]


@pytest.mark.parametrize("decide", ["requeue", "lose", "overdue"])
def test_a_cancel_asked_for_wins(running: Job, decide: str) -> None:
    job = replace(running, cancel_requested=True, lost=9, finish_by=NOW - 1)
    change = {
        "requeue": lambda: transitions.requeue(job, NOW, reason="drain", count=Count.DRAINS),
        "lose": lambda: transitions.lose(job, NOW, reason="worker_died", cause="x", max_lost=1),
        "overdue": lambda: transitions.overdue(job, NOW),
    }[decide]()
    assert (change.event, change.values["status"], change.values["ended_at"]) == ("canceled", "canceled", NOW)


def test_a_key_is_for_one_request(queued: Job) -> None:
    key = IdempotencyKey("order 66", "a" * 64)
    transitions.refuse_another_request(key, "a" * 64, queued.id)
    with pytest.raises(KeyReused, match=queued.id):
        transitions.refuse_another_request(key, "b" * 64, queued.id)


def test_only_events_that_were_asked_for_are_called_out(running: Job) -> None:
    event = Event(running.id, 2, "running", {"attempt": 1}, NOW)
    assert delivery_of(running, event) is None
    assert delivery_of(replace(running, webhook=HOOK), event) is None


def test_a_call_says_what_happened_when_and_where_to_ask(running: Job) -> None:
    error = {"code": "non_finite", "detail": "The loss ran away. \ud800 \0"}
    job = replace(running, webhook=HOOK, status=Status.FAILED, error=error)
    delivery = delivery_of(job, Event(job.id, 3, "failed", {"attempt": 1, "error": error}, NOW))
    assert delivery is not None
    assert (delivery.id, delivery.type, delivery.url) == (f"{job.id}-3", "job.failed", HOOK["url"])
    assert (delivery.status, delivery.tries, delivery.next_at, delivery.ended_at) == ("pending", 0, NOW, None)
    assert delivery.body.isascii()  # any database keeps it, and any receiver reads it
    assert json.loads(delivery.body) == {
        "type": "job.failed",
        "timestamp": "2023-11-14T22:13:20+00:00",
        "data": {
            "job_id": job.id,
            "number": 3,
            "kind": "edit",
            "status": "failed",
            "attempt": 1,
            "error": error,
            "url": f"/v1/jobs/{job.id}",
        },
    }
