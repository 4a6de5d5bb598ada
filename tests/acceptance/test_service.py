"""`editq up`: starts everything, survives what happens to it, and leaves nothing running."""

import os
import signal
import socket
import sys
import time

import pytest
from places import finish, until

from editq.processes import started_at
from storage.specs import SampleSpec

TINY_DEMO = (sys.executable, "-m", "editq.demo", "--model", "tiny", "--inversion-steps", "5", "--steps", "5")

pytestmark = pytest.mark.timeout(240)


def test_up_runs_a_job_keeps_it_over_a_restart_and_stops_clean(tiny):
    first = tiny.start()
    tiny.until_ready(first)
    with tiny.client() as client:
        job = client.wait(client.submit(SampleSpec(model="tiny", seed=1))["id"], timeout_s=60)
        assert job["status"] == "succeeded", job["error"]
        picture = client.output(job["id"], "picture_000.png")
    said = finish(first, signal.SIGINT)
    assert (first.returncode, tiny.processes()) == (0, [])
    assert "curl" in said
    assert "/studio" in said
    assert not (tiny.path / "service.json").exists()

    second = tiny.start()
    tiny.until_ready(second)
    with tiny.client() as client:
        assert client.get(job["id"])["status"] == "succeeded"
        assert client.output(job["id"], "picture_000.png") == picture
    finish(second, signal.SIGTERM)
    assert (second.returncode, tiny.processes()) == (0, [])


@pytest.mark.slow
def test_a_taken_port_is_replaced_and_a_second_up_says_where_the_first_one_is(tiny):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        first = tiny.start(EDITQ_PORT=str(port))
        tiny.until_ready(first)
        address = tiny.folder.read()["address"]
        assert not address.endswith(f":{port}")
        second = tiny.start(EDITQ_PORT=str(port))
        said = finish(second)
        assert second.returncode == 0
        assert f"already running at {address}" in said
        assert tiny.answers()
        assert f"port {port} is taken" in finish(first, signal.SIGTERM)


@pytest.mark.slow
def test_a_killed_run_takes_its_processes_along_and_blocks_nothing(tiny):
    first = tiny.start()
    tiny.until_ready(first)
    finish(first, signal.SIGKILL)
    second = tiny.start()
    tiny.until_ready(second)
    assert tiny.answers()
    finish(second, signal.SIGTERM)
    until(lambda: tiny.processes() == [])


@pytest.mark.slow
def test_a_worker_that_is_killed_is_started_again(tiny):
    up = tiny.start()
    tiny.until_ready(up)
    before = tiny.folder.read()["processes"]["gpu"]
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: tiny.folder.read().get("processes", {}).get("gpu", before)["pid"] != before["pid"])
    with tiny.client() as client:
        job = client.wait(client.submit(SampleSpec(model="tiny", seed=2))["id"], timeout_s=90)
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


@pytest.mark.slow
def test_redis_postgres_and_s3_of_the_users_own_are_used_by_environment_alone(
    tiny_models, place, redis_url, postgres_url, rclone_s3
):
    own = {
        "EDITQ_REDIS_URL": redis_url,
        "EDITQ_DATABASE_URL": postgres_url,
        "EDITQ_S3_BUCKET": rclone_s3.new_bucket(),
        "EDITQ_S3_ENDPOINT": rclone_s3.endpoint,
        "EDITQ_S3_ACCESS_KEY": rclone_s3.access_key,
        "EDITQ_S3_SECRET_KEY": rclone_s3.secret_key,
        "EDITQ_S3_PATH_STYLE": "true",
    }
    place.env.update(own)
    place.register(tiny_models)
    demo = place.start(TINY_DEMO)
    said = finish(demo, timeout_s=120)
    assert demo.returncode == 0, said
    assert (place.path.parent / "demo-out" / "summary.json").exists()
    assert {path.name for path in place.path.iterdir()} <= {"logs", "service.lock", "cache", "webhook_secret"}
    assert place.processes() == []


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_mid_demo_leaves_nothing(tiny, signum):
    demo = tiny.start((*TINY_DEMO, "--inversion-steps", "5000"))
    assert demo.stdout is not None
    assert any("step " in line for line in demo.stdout)
    finish(demo, signum)
    assert demo.returncode == 128 + signum
    until(lambda: tiny.processes() == [])


@pytest.mark.slow
def test_the_demo_uses_the_service_that_runs_and_leaves_it_running(tiny):
    up = tiny.start()
    tiny.until_ready(up)
    demo = tiny.start(TINY_DEMO)
    said = finish(demo)
    assert demo.returncode == 0, said
    assert "using the service" in said
    assert tiny.answers()
    finish(up, signal.SIGTERM)


@pytest.mark.slow
def test_a_picture_that_is_none_ends_the_demo_with_a_word(tiny, tmp_path):
    picture = tmp_path / "car.jpg"
    picture.write_text("no picture")
    demo = tiny.start((*TINY_DEMO, str(picture)))
    said = finish(demo)
    assert demo.returncode == 1
    assert "demo failed" in said
    assert tiny.processes() == []
