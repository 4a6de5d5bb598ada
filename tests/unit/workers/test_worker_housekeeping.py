"""A pass of housekeeping: leases, deadlines, and what goes on beside it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faulty
import pytest
from worker_trial import SPEC, Trial

from storage.memory import memory_stores
from storage.records import Job, Status
from storage.settings import Settings
from storage.specs import JobOptions, Webhook
from storage.stores import Stores
from workers.housekeeping import Housekeeper
from workers.queue import Doorbell

NOBODY = "redis://127.0.0.1:1/0"
SECRET = "whsec_ZWRpdHEgZWRpdHEgZWRpdHEgZWRpdHEgZWRpdHE="


@pytest.fixture
def stores() -> Stores:
    return memory_stores()


def keeper(stores: Stores, folder: Path, **members: Any) -> Housekeeper:
    settings = Settings(data_dir=folder, housekeeping_s=0.02, **members)
    return Housekeeper(stores, Doorbell(NOBODY), settings)


@contextmanager
def keeping(housekeeper: Housekeeper) -> Iterator[None]:
    ended = threading.Event()
    thread = threading.Thread(target=housekeeper.run, args=(ended,))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def until(happened: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def late(stores: Stores, *, running: bool) -> Job:
    """A job whose time to finish passes at once."""
    job = stores.jobs.add("local", "edit", {}, options=JobOptions(finish_within_s=0.2))
    if running:
        assert stores.jobs.claim("gpu", "w", lease_s=60) is not None
    time.sleep(0.25)
    return job


def test_a_running_job_whose_deadline_passed_fails_and_its_worker_is_told(
    stores: Stores, tmp_path: Path
) -> None:
    job = late(stores, running=True)
    keeper(stores, tmp_path).tidy()
    after = stores.jobs.get("local", job.id)
    assert after.status is Status.FAILED
    assert after.error is not None
    assert after.error["code"] == "deadline_passed"
    assert stores.progress.cancel_noticed(job.id)


def test_a_queued_job_whose_deadline_passed_fails_and_nobody_is_told(stores: Stores, tmp_path: Path) -> None:
    job = late(stores, running=False)
    keeper(stores, tmp_path).tidy()
    assert stores.jobs.get("local", job.id).status is Status.FAILED
    assert not stores.progress.cancel_noticed(job.id)


@pytest.mark.thorough
def test_a_worker_meets_the_deadline_of_its_job_long_before_it_renews(trial: Trial, tmp_path: Path) -> None:
    options = JobOptions(finish_within_s=1.0)
    job = trial.stores.jobs.add("local", "sample", SPEC, options=options)
    ended = threading.Event()

    def on_step(step: int) -> None:
        trial.rings.append(("step", str(step)))
        assert not ended.wait(0.01)

    ends: list[Job | None] = []
    slow = faulty.recipe(on_step, steps=10**9)
    worker = threading.Thread(target=lambda: ends.append(trial.take(slow, lease_s=3600)))
    worker.start()
    try:
        until(lambda: trial.rings)
        housekeeper = keeper(trial.stores, tmp_path)
        until(lambda: housekeeper.tidy() or trial.get(job).status.ended)
        worker.join(30)
    finally:
        ended.set()
        worker.join(30)
    assert ends == [None]  # another owns the row
    assert trial.get(job).status is Status.FAILED


def test_other_jobs_are_left_alone(stores: Stores, tmp_path: Path) -> None:
    job = stores.jobs.add("local", "edit", {}, options=JobOptions(start_within_s=3600, finish_within_s=3600))
    keeper(stores, tmp_path).tidy()
    assert stores.jobs.get("local", job.id) == job


def test_leases_that_have_passed_end(stores: Stores, tmp_path: Path) -> None:
    job = stores.jobs.add("local", "edit", {})
    stores.jobs.claim("gpu", "w", lease_s=-1)
    keeper(stores, tmp_path, max_lost=2).tidy()
    after = stores.jobs.get("local", job.id)
    assert (after.status, after.lost) == (Status.QUEUED, 1)


def test_garbage_is_collected_beside_housekeeping(stores: Stores, tmp_path: Path) -> None:
    key = "local/images/" + "0" * 64
    stores.objects.put(key, b"nobody's", "image/png")
    with keeping(keeper(stores, tmp_path, garbage_every_s=0.05, garbage_grace_s=0.1)):
        until(lambda: not stores.objects.exists(key))


def hooked(stores: Stores) -> Job:
    webhook = Webhook(url="http://127.0.0.1:1/")
    job = stores.jobs.add("local", "edit", {}, options=JobOptions(webhook=webhook))
    return stores.jobs.request_cancel("local", job.id)


def test_webhooks_are_sent_beside_housekeeping(stores: Stores, tmp_path: Path) -> None:
    job = hooked(stores)
    with keeping(keeper(stores, tmp_path, webhook_secret=SECRET, webhook_networks="127.0.0.0/8")):
        until(lambda: stores.outbox.list("local", job.id)[0].last_error == "no connection")


def test_without_what_webhooks_need_the_rest_is_kept_going(stores: Stores, tmp_path: Path) -> None:
    job = hooked(stores)
    stores.jobs.add("local", "edit", {})
    stores.jobs.claim("gpu", "w", lease_s=0.01)
    with keeping(keeper(stores, tmp_path)):
        until(lambda: not stores.jobs.running())
    assert stores.outbox.list("local", job.id)[0].tries == 0
