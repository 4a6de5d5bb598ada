"""The outbox on its way out: real receivers that fail, hang and come back, over every backend."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from store_records import Records
from webhook_receiver import LOOPBACK, SECRET, Receiver, hangs, receiving, says, until

from editq.webhooks import verify
from storage.errors import StorageUnavailable
from storage.memory_jobs import MemoryJobs
from storage.memory_outbox import MemoryOutbox
from storage.records import Delivery
from storage.settings import Settings
from storage.specs import JobOptions, Webhook
from storage.stores import Jobs
from storage.upkeep import Outbox
from workers import webhooks
from workers.webhooks import Deliveries

SETTINGS = Settings(webhook_secret=SECRET, webhook_networks=LOOPBACK, webhook_timeout_s=20.0)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "PAUSES_S", (0.05, 0.05, 0.05))
    monkeypatch.setattr(webhooks, "POLL_S", 0.02)


@contextmanager
def sending(outbox: Outbox, settings: Settings = SETTINGS, *, senders: int = 1) -> Iterator[None]:
    """As that many housekeeping workers would, until the block ends."""
    ended = threading.Event()
    threads = [
        threading.Thread(target=Deliveries(outbox, settings).run, args=(ended,)) for _ in range(senders)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def hooked(jobs: Jobs, url: str) -> str:
    """The id of a job that has ended, and has that to tell."""
    job = jobs.add("local", "edit", {}, options=JobOptions(webhook=Webhook(url=url)))
    return jobs.request_cancel("local", job.id).id


def only(outbox: Outbox, job_id: str) -> Delivery:
    (delivery,) = outbox.list("local", job_id)
    return delivery


def ended(outbox: Outbox, job_id: str) -> Delivery:
    until(lambda: only(outbox, job_id).status != "pending")
    return only(outbox, job_id)


def test_an_event_is_told_once_and_truly_signed(records: Records) -> None:
    with receiving() as receiver, sending(records.outbox):
        job_id = hooked(records.jobs, f"{receiver.url}/hook")
        delivery = ended(records.outbox, job_id)
        (call,) = receiver.calls
    assert (delivery.status, delivery.tries, delivery.last_error) == ("delivered", 1, None)
    assert call.id == delivery.id == f"{job_id}-2"
    event = verify(SECRET, call.headers, call.body)
    assert (event["type"], event["data"]["job_id"]) == ("job.canceled", job_id)


def test_a_receiver_that_fails_is_called_again_under_the_same_id(records: Records) -> None:
    with receiving(says(500), says(302, Location="/"), says(204)) as receiver, sending(records.outbox):
        delivery = ended(records.outbox, hooked(records.jobs, receiver.url))
        calls = receiver.calls
    assert (delivery.status, delivery.tries, delivery.last_error) == ("delivered", 3, "answered 302")
    assert [call.id for call in calls] == [delivery.id] * 3
    assert {call.body for call in calls} == {delivery.body.encode()}
    for call in calls:
        verify(SECRET, call.headers, call.body)


def test_a_receiver_that_never_answers_well_is_given_up(records: Records) -> None:
    with receiving(says(500)) as receiver, sending(records.outbox):
        delivery = ended(records.outbox, hooked(records.jobs, receiver.url))
        assert len(receiver.calls) == delivery.tries == 4
    assert (delivery.status, delivery.last_error) == ("failed", "answered 500")


def test_a_receiver_that_is_gone_is_not_called_again_unless_asked_to(records: Records) -> None:
    with receiving(says(410), says(204)) as receiver, sending(records.outbox):
        delivery = ended(records.outbox, hooked(records.jobs, receiver.url))
        assert (delivery.status, delivery.tries, delivery.last_error) == ("failed", 1, "answered 410")
        records.outbox.resend("local", delivery.job_id, delivery.id)
        assert ended(records.outbox, delivery.job_id).status == "delivered"
        assert receiver.ids == {delivery.id: 2}


def test_a_receiver_may_ask_for_a_longer_pause(records: Records) -> None:
    with receiving(says(503, Retry_After="3600")) as receiver, sending(records.outbox):
        job_id = hooked(records.jobs, receiver.url)
        until(lambda: only(records.outbox, job_id).last_error)
        delivery = only(records.outbox, job_id)
    assert (delivery.status, delivery.last_error) == ("pending", "answered 503")
    assert 3500 < delivery.next_at - delivery.created_at < 3700


def test_what_cannot_be_called_says_why_on_its_row(records: Records) -> None:
    inside = Settings(webhook_secret=SECRET, webhook_timeout_s=20.0)
    with receiving() as receiver, sending(records.outbox, inside):
        delivery = ended(records.outbox, hooked(records.jobs, receiver.url))
        assert receiver.calls == []
    assert (delivery.status, delivery.tries) == ("failed", 4)
    assert delivery.last_error == "the address is private, or otherwise not to be called"


def test_a_receiver_that_hangs_holds_no_other_back(records: Records) -> None:
    with receiving(hangs) as slow, receiving() as quick:
        stuck = [hooked(records.jobs, f"{slow.url}/{number}") for number in range(40)]
        others = [hooked(records.jobs, quick.url) for _ in range(10)]
        with sending(records.outbox):
            for job_id in others:
                assert ended(records.outbox, job_id).status == "delivered"
            assert {only(records.outbox, job_id).status for job_id in stuck} == {"pending"}
            assert len(slow.calls) < 2 * webhooks.TAKEN_AT_ONCE
            slow.closing.set()
    assert set(quick.ids.values()) == {1}


def test_several_senders_tell_each_event_once(records: Records) -> None:
    with receiving() as receiver, sending(records.outbox, senders=3):
        made = [hooked(records.jobs, receiver.url) for _ in range(30)]
        for job_id in made:
            assert ended(records.outbox, job_id).tries == 1
        assert receiver.ids == {f"{job_id}-2": 1 for job_id in made}


def test_what_a_dead_sender_had_taken_is_sent_by_another(records: Records) -> None:
    with receiving() as receiver:
        job_id = hooked(records.jobs, receiver.url)
        (taken,) = records.outbox.due(lease_s=0.2)  # and then it died
        with sending(records.outbox):
            delivery = ended(records.outbox, job_id)
            records.outbox.postponed(taken, error="late", after_s=None)
        assert (delivery.id, delivery.tries) == (taken.id, 2)
        assert receiver.ids == {taken.id: 1}
    assert only(records.outbox, job_id) == delivery


def test_an_outbox_that_is_away_for_a_while_is_asked_again() -> None:
    class Away(MemoryOutbox):
        asked = 0

        def due(self, **members: Any) -> tuple[Delivery, ...]:
            self.asked += 1
            if self.asked <= 3:
                raise StorageUnavailable("The database does not answer.")
            return super().due(**members)

    jobs = MemoryJobs()
    outbox = Away(jobs)
    with receiving() as receiver, sending(outbox):
        assert ended(outbox, hooked(jobs, receiver.url)).status == "delivered"


def test_a_sender_whose_clock_is_wrong_signs_by_that_of_the_database(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    with receiving() as receiver:
        job_id = hooked(records.jobs, receiver.url)
        (delivery,) = records.outbox.due(lease_s=SETTINGS.webhook_timeout_s + webhooks.LEASE_MARGIN_S)
        monkeypatch.setattr(time, "time", lambda: real() + 3600)
        Deliveries(records.outbox, SETTINGS).deliver(delivery)
        monkeypatch.undo()
        (call,) = receiver.calls
    assert abs(int(call.headers["webhook-timestamp"]) - real()) < 60
    assert job_id in call.id


def test_a_sender_that_is_told_to_end_ends_what_it_began(records: Records) -> None:
    answering = threading.Event()

    def slowly(handler: object) -> None:
        answering.wait(30)
        says(204)(handler)  # type: ignore[arg-type]

    with receiving(slowly) as receiver:
        job_id = hooked(records.jobs, receiver.url)
        with sending(records.outbox):
            until(lambda: receiver.calls)
            threading.Timer(0.2, answering.set).start()
        assert only(records.outbox, job_id).status == "delivered"


def test_a_job_may_tell_of_each_of_its_events(records: Records) -> None:
    jobs = records.jobs
    with receiving() as receiver, sending(records.outbox):
        webhook = Webhook(url=receiver.url, events=("queued", "running", "succeeded"))
        job = jobs.add("local", "edit", {}, options=JobOptions(webhook=webhook))
        claim = jobs.claim("gpu", "w", lease_s=60)
        assert claim is not None
        jobs.succeed(claim, {}, {})
        until(lambda: all(d.status == "delivered" for d in records.outbox.list("local", job.id)))
        assert receiver.ids == {f"{job.id}-{number}": 1 for number in (1, 2, 3)}
        assert told(receiver) == {"job.queued", "job.running", "job.succeeded"}


def told(receiver: Receiver) -> set[str]:
    return {verify(SECRET, call.headers, call.body)["type"] for call in receiver.calls}
