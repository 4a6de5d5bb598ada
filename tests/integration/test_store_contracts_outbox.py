"""What every outbox does: memory, SQLite, PostgreSQL."""

import itertools
import json
from typing import Any

import pytest
from job_steps import ERROR
from test_store_contracts_races import together

from storage.errors import Conflict, JobNotFound, NotFound
from storage.records import Claim, Delivery, Job
from storage.specs import JobOptions, Webhook
from storage.stores import Jobs
from storage.upkeep import Outbox

URL = "https://hooks.example/editq"


def hooked(jobs: Jobs, *events: str, url: str = URL) -> Job:
    webhook = Webhook(url=url, events=events) if events else Webhook(url=url)  # type: ignore[arg-type]
    return jobs.add("local", "edit", {}, options=JobOptions(webhook=webhook))


def claimed(jobs: Jobs) -> Claim:
    claim = jobs.claim("gpu", "worker:1:gpu", lease_s=60)
    assert claim is not None
    return claim


def canceled(jobs: Jobs, count: int = 1, *, url: str = URL) -> list[str]:
    """The ids of the deliveries that this many jobs leave."""
    ids = [hooked(jobs, url=url).id for _ in range(count)]
    return [f"{jobs.request_cancel('local', job_id).id}-2" for job_id in ids]


def taken(outbox: Outbox, *, lease_s: float = 60.0) -> Delivery:
    (delivery,) = outbox.due(lease_s=lease_s)
    return delivery


def test_each_event_that_was_asked_for_has_one_delivery(jobs: Jobs, outbox: Outbox) -> None:
    job = hooked(jobs, "running", "failed")
    jobs.fail(claimed(jobs), ERROR)
    running, failed = outbox.list("local", job.id)
    assert [(d.id, d.type) for d in (running, failed)] == [
        (f"{job.id}-2", "job.running"),
        (f"{job.id}-3", "job.failed"),
    ]
    assert {(d.status, d.tries, d.url, d.ended_at) for d in (running, failed)} == {("pending", 0, URL, None)}
    body = json.loads(failed.body)
    assert body["type"] == "job.failed"
    assert body["data"] | {"error": ERROR, "job_id": job.id, "status": "failed"} == body["data"]


def test_a_job_without_a_webhook_has_none(jobs: Jobs, outbox: Outbox) -> None:
    job = jobs.add("local", "edit", {})
    jobs.request_cancel("local", job.id)
    assert outbox.list("local", job.id) == ()
    assert outbox.due(lease_s=60) == ()


def test_a_due_delivery_is_taken_by_one(jobs: Jobs, outbox: Outbox) -> None:
    canceled(jobs)
    delivery = taken(outbox)
    assert delivery.tries == 1
    assert delivery.next_at > delivery.created_at + 50
    assert outbox.due(lease_s=60) == ()


def test_the_oldest_are_taken_first_and_no_more_than_asked_for(jobs: Jobs, outbox: Outbox) -> None:
    ids = canceled(jobs, 5)
    assert [d.id for d in outbox.due(lease_s=60, limit=2)] == ids[:2]
    assert [d.id for d in outbox.due(lease_s=60, limit=9)] == ids[2:]


def test_takers_at_once_take_each_once(jobs: Jobs, outbox: Outbox) -> None:
    ids = canceled(jobs, 12)

    def take() -> list[str]:
        found = []
        while due := outbox.due(lease_s=60, limit=2):
            found += [delivery.id for delivery in due]
        return found

    found: Any = together(*(take for _ in range(4)))
    assert sorted(itertools.chain(*found)) == sorted(ids)


def test_receivers_that_are_not_wanted_are_left(jobs: Jobs, outbox: Outbox) -> None:
    (slow,) = canceled(jobs, url="https://slow_1.example/a")
    (other,) = canceled(jobs, url="https://slowX1.example/a")  # _ is a letter here, no pattern
    (percent,) = canceled(jobs, url="https://quick.example/%25")
    busy = ["https://slow_1.example", "https://quick.example/%%"]
    assert [d.id for d in outbox.due(lease_s=60, without=busy)] == [other, percent]
    assert [d.id for d in outbox.due(lease_s=60, without=[])] == [slow]


def test_what_was_delivered_is_ended(jobs: Jobs, outbox: Outbox) -> None:
    canceled(jobs)
    delivery = taken(outbox, lease_s=-1)
    outbox.delivered(delivery)
    (ended,) = outbox.list("local", delivery.job_id)
    assert (ended.status, ended.tries, ended.last_error) == ("delivered", 1, None)
    assert ended.ended_at is not None
    assert outbox.due(lease_s=60) == ()


def test_what_failed_is_due_again_later(jobs: Jobs, outbox: Outbox) -> None:
    canceled(jobs)
    first = taken(outbox)
    outbox.postponed(first, error="answered 500", after_s=-1)
    second = taken(outbox)
    assert (second.tries, second.last_error) == (2, "answered 500")
    outbox.postponed(second, error="answered 503", after_s=3600)
    assert outbox.due(lease_s=60) == ()
    (waiting,) = outbox.list("local", first.job_id)
    assert (waiting.status, waiting.last_error) == ("pending", "answered 503")
    assert 3500 < waiting.next_at - waiting.created_at < 3700


def test_what_was_given_up_is_never_due(jobs: Jobs, outbox: Outbox) -> None:
    canceled(jobs)
    outbox.postponed(taken(outbox, lease_s=-1), error="answered 410", after_s=None)
    assert outbox.due(lease_s=60) == ()
    (failed,) = outbox.list("local", jobs.list("local").items[0].id)
    assert (failed.status, failed.last_error) == ("failed", "answered 410")
    assert failed.ended_at is not None


def test_who_comes_back_late_changes_nothing(jobs: Jobs, outbox: Outbox) -> None:
    canceled(jobs)
    late = taken(outbox, lease_s=-1)
    holder = taken(outbox)
    assert (late.id, late.tries, holder.tries) == (holder.id, 1, 2)
    outbox.delivered(late)
    outbox.postponed(late, error="late", after_s=-1)
    outbox.postponed(late, error="late", after_s=None)
    assert outbox.list("local", holder.job_id) == (holder,)
    outbox.delivered(holder)
    outbox.postponed(holder, error="late", after_s=None)
    assert outbox.list("local", holder.job_id)[0].status == "delivered"


def test_an_ended_delivery_is_sent_again_under_its_id(jobs: Jobs, outbox: Outbox) -> None:
    canceled(jobs)
    late = taken(outbox, lease_s=-1)
    outbox.postponed(taken(outbox), error="answered 500", after_s=None)
    again = outbox.resend("local", late.job_id, late.id)
    assert (again.id, again.status, again.tries, again.ended_at) == (late.id, "pending", 0, None)
    holder = taken(outbox)
    assert (holder.id, holder.tries) == (late.id, 1)
    outbox.delivered(late)  # of the same try number, but not the one that holds it
    assert outbox.list("local", late.job_id) == (holder,)


def test_a_delivery_that_is_pending_or_of_others_is_not_sent_again(jobs: Jobs, outbox: Outbox) -> None:
    first, second = canceled(jobs, 2)
    job_id = first.partition("-")[0]
    with pytest.raises(Conflict):
        outbox.resend("local", job_id, first)
    with pytest.raises(NotFound):
        outbox.resend("local", job_id, second)
    with pytest.raises(JobNotFound):
        outbox.resend("somebody", job_id, first)
    with pytest.raises(JobNotFound):
        outbox.list("somebody", job_id)
    with pytest.raises(JobNotFound):
        outbox.list("local", "0" * 32)
    assert {d.tries for d in outbox.due(lease_s=60)} == {1}


def test_deliveries_of_a_job_are_listed_in_the_order_of_its_events(jobs: Jobs, outbox: Outbox) -> None:
    job = hooked(jobs, "queued", "running", "canceled")
    for _ in range(5):
        jobs.claim("gpu", "w", lease_s=-1)
        jobs.expire(max_lost=99)
    jobs.request_cancel("local", job.id)
    listed = outbox.list("local", job.id)
    assert [d.event_number for d in listed] == list(range(1, 13))
    assert [d.id for d in listed] == [f"{job.id}-{number}" for number in range(1, 13)]
