"""The doorbell and housekeeping on a real broker that freezes, dies and comes back."""

import base64
import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import servers
from celery import Celery

from storage.memory import memory_stores
from storage.settings import Settings
from workers.housekeeping import Housekeeper
from workers.queue import TASK, TIMEOUT_S, Doorbell, Hint

Broker = tuple[str, subprocess.Popen[bytes]]


@pytest.fixture
def broker(tmp_path: Path, valkey_url: str) -> Iterator[Broker]:
    """One of this test's own, to be ill-treated. (valkey_url skips where there is none.)"""
    with servers.redis_server(tmp_path, servers.valkey_binary()) as (url, process):
        yield url, process


def timed(bell: Doorbell) -> float:
    began = time.monotonic()
    bell.ring("gpu", "job")
    return time.monotonic() - began


def test_a_frozen_broker_hangs_one_ring_for_a_moment(broker: Broker) -> None:
    url, process = broker
    bell = Doorbell(url)
    bell.ring("gpu", "job")
    assert bell.waiting("gpu") == 1
    process.send_signal(signal.SIGSTOP)
    assert timed(bell) < 2 * TIMEOUT_S
    assert timed(bell) < 0.05  # the breaker is open: nobody waits again
    assert bell.waiting("gpu") is None
    assert timed(Doorbell(url)) < 3 * TIMEOUT_S  # a fresh process, too
    process.send_signal(signal.SIGCONT)
    time.sleep(1.1)
    before = bell.waiting("gpu")
    bell.ring("gpu", "job")
    assert before is not None
    assert bell.waiting("gpu") == before + 1


def test_a_broker_that_is_not_there_raises_nothing() -> None:
    bell = Doorbell(f"redis://127.0.0.1:{servers.free_port()}/0")
    assert timed(bell) < 1.0
    assert bell.waiting("gpu") is None


def test_a_closed_connection_loses_no_ring(broker: Broker) -> None:
    url, _ = broker
    bell = Doorbell(url)
    bell.ring("gpu", "one")
    with redis.Redis.from_url(url) as client:
        client.client_kill_filter(_type="normal", skipme=True)
    bell.ring("gpu", "two")
    assert bell.waiting("gpu") == 2


def test_a_ring_is_the_message_that_celery_itself_would_send(broker: Broker) -> None:
    """But for what is drawn anew for each message, and where an answer would go, which nobody sends."""
    url, _ = broker
    Doorbell(url).ring("gpu", "job")
    options = {"result_backend": None, "task_ignore_result": True, "task_serializer": "json"}
    with Celery("sender", broker=url, set_as_current=False) as sender:
        sender.conf.update(options)
        sender.send_task(TASK, args=("gpu", "job"), queue="gpu", retry=False)
    with redis.Redis.from_url(url) as client:
        theirs, ours = (read_message(raw) for raw in client.lrange("gpu", 0, -1))
    assert theirs["properties"].pop("reply_to")
    for found in (theirs, ours):
        headers, properties = found["headers"], found["properties"]
        assert headers["id"] == headers.pop("root_id") == properties.pop("correlation_id")
        drawn = {headers.pop("id"), properties.pop("delivery_tag")}
        assert len(drawn) == 2
        assert "@" in headers.pop("origin")
    assert ours == theirs


def read_message(raw: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(raw)
    return found | {"body": json.loads(base64.b64decode(found["body"]))}


def test_a_ring_is_heard_by_one_and_waited_for_no_longer_than_asked(broker: Broker) -> None:
    url, process = broker
    bell = Doorbell(url)
    bell.ring("gpu", str(Hint("job", "cars", 1)))
    assert Hint.read(bell.heard("gpu", 0.1) or "") == Hint("job", "cars", 1)
    began = time.monotonic()
    assert bell.heard("gpu", 0.1) is None
    assert 0.1 <= time.monotonic() - began < 2 * TIMEOUT_S
    with redis.Redis.from_url(url) as client:
        client.lpush("gpu", "[]", b"\xff", json.dumps({"body": "?"}))  # from whomever
    assert [bell.heard("gpu", 0.1) for _ in range(4)] == ["", "", "", None]
    process.send_signal(signal.SIGSTOP)
    assert bell.heard("gpu", 0.1) is None
    process.send_signal(signal.SIGCONT)


def test_threads_may_ring_together(broker: Broker) -> None:
    bell = Doorbell(broker[0])
    threads = [threading.Thread(target=lambda: [bell.ring("gpu", "j") for _ in range(10)]) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bell.waiting("gpu") == 160


def test_housekeeping_rings_for_rows_without_a_message_and_no_more(broker: Broker, tmp_path: Path) -> None:
    stores, bell = memory_stores(), Doorbell(broker[0])
    keeper = Housekeeper(stores, bell, Settings(data_dir=tmp_path, housekeeping_s=0.2))
    for _ in range(5):
        stores.jobs.add("local", "sample", {})
    bell.ring("gpu", "one of them")
    keeper.tidy()
    assert bell.waiting("gpu") == 5
    keeper.tidy()
    assert bell.waiting("gpu") == 5
    with redis.Redis.from_url(broker[0]) as client:
        client.flushall()
        keeper.tidy()  # it rang a moment ago: it waits
        assert bell.waiting("gpu") == 0
        time.sleep(0.25)
        keeper.tidy()
        assert bell.waiting("gpu") == 5


def test_housekeeping_without_a_broker_still_expires_leases(tmp_path: Path) -> None:
    stores, bell = memory_stores(), Doorbell(f"redis://127.0.0.1:{servers.free_port()}/0")
    keeper = Housekeeper(stores, bell, Settings(data_dir=tmp_path))
    job = stores.jobs.add("local", "sample", {})
    assert stores.jobs.claim("gpu", "w", lease_s=0.01)
    time.sleep(0.05)
    keeper.tidy()
    assert stores.jobs.get("local", job.id).lost == 1


def test_a_job_whose_lease_passed_is_rung_for_at_once_though_its_queue_was_rung_for_just_now(
    broker: Broker, tmp_path: Path
) -> None:
    stores, bell = memory_stores(), Doorbell(broker[0])
    keeper = Housekeeper(stores, bell, Settings(data_dir=tmp_path, housekeeping_s=60))
    stores.jobs.add("local", "sample", {})
    keeper.tidy()
    with redis.Redis.from_url(broker[0]) as client:
        client.flushall()  # the message is taken ...
        assert stores.jobs.claim("gpu", "w", lease_s=0.01)  # ... and its worker dies
        time.sleep(0.05)
        keeper.tidy()
        assert bell.waiting("gpu") == 1
        keeper.tidy()
        assert bell.waiting("gpu") == 1
