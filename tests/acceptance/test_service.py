"""`editq up`: starts everything, survives what happens to it, and leaves nothing running."""

import os
import signal
import socket
import time

import pytest
from places import finish, until

from editq.processes import started_at
from storage.specs import SampleSpec

pytestmark = pytest.mark.timeout(240)


def test_up_runs_a_job_keeps_it_over_a_restart_and_stops_clean(tiny):
    first = tiny.start()
    tiny.until_ready(first)
    with tiny.client() as client:
        job = client.wait(client.submit(SampleSpec(seed=1))["id"], timeout_s=60)
        assert job["status"] == "succeeded", job["error"]
        picture = client.output(job["id"], "picture_000.png")
    said = finish(first, signal.SIGINT)
    assert (first.returncode, tiny.processes()) == (0, [])
    assert "curl" in said
    assert not (tiny.path / "service.json").exists()

    second = tiny.start()
    tiny.until_ready(second)
    with tiny.client() as client:
        assert client.get(job["id"])["status"] == "succeeded"
        assert client.output(job["id"], "picture_000.png") == picture
    finish(second, signal.SIGTERM)
    assert (second.returncode, tiny.processes()) == (0, [])


def test_a_second_up_says_where_the_first_one_is(tiny):
    first = tiny.start()
    tiny.until_ready(first)
    second = tiny.start()
    said = finish(second)
    assert second.returncode == 0
    assert f"already running at {tiny.folder.read()['address']}" in said
    assert tiny.answers()
    finish(first, signal.SIGTERM)


def test_a_taken_port_is_replaced(tiny):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        up = tiny.start(EDITQ_PORT=str(port))
        tiny.until_ready(up)
        assert tiny.answers()
        assert f":{port}" not in tiny.folder.read()["address"]
        assert f"port {port} is taken" in finish(up, signal.SIGTERM)


def test_a_killed_run_takes_its_processes_along_and_blocks_nothing(tiny):
    first = tiny.start()
    tiny.until_ready(first)
    finish(first, signal.SIGKILL)
    second = tiny.start()
    tiny.until_ready(second)
    assert tiny.answers()
    finish(second, signal.SIGTERM)
    until(lambda: tiny.processes() == [])


def test_a_worker_that_is_killed_is_started_again(tiny):
    up = tiny.start()
    tiny.until_ready(up)
    before = tiny.folder.read()["processes"]["gpu"]
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: tiny.folder.read().get("processes", {}).get("gpu", before)["pid"] != before["pid"])
    with tiny.client() as client:
        job = client.wait(client.submit(SampleSpec(seed=2))["id"], timeout_s=90)
    assert job["status"] == "succeeded"
    assert "gpu ended unexpectedly" in finish(up, signal.SIGTERM)
    assert started_at(before["pid"]) != before["started"]


@pytest.mark.parametrize("after_s", [0.1, 0.5, 1.5, 3.0])
def test_a_signal_in_the_middle_of_starting_leaves_nothing(tiny, after_s):
    up = tiny.start()
    time.sleep(after_s)
    finish(up, signal.SIGTERM)
    until(lambda: tiny.processes() == [], timeout_s=20)


def test_a_part_that_fails_is_named_with_the_end_of_its_log(tiny):
    up = tiny.start(EDITQ_LEASE_S="no number")
    said = finish(up)
    assert up.returncode == 1
    assert "release failed" in said
    assert "lease_s" in said


def test_a_redis_of_the_users_own_is_used(tiny, redis_url):
    up = tiny.start(EDITQ_REDIS_URL=redis_url)
    tiny.until_ready(up)
    assert "valkey" not in tiny.folder.read()["processes"]
    with tiny.client() as client:
        job = client.wait(client.submit(SampleSpec(seed=3))["id"], timeout_s=60)
    assert job["status"] == "succeeded"
    finish(up, signal.SIGTERM)
