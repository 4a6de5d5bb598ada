"""The commands for jobs, queues and workers, against the real API over memory stores on a real port."""

import json
import re
import threading

import pytest
from click.testing import CliRunner
from on_a_port import on_a_port

from api.app import create_app
from editq.cli import main
from storage.library_records import Model, Part
from storage.memory import memory_stores
from storage.records import SYSTEM_TENANT, Count, ObjectRef, new_id
from storage.settings import Settings

pytestmark = pytest.mark.thorough


@pytest.fixture
def stores():
    stores = memory_stores()
    weights = ObjectRef("system/models/cars/d/generator.safetensors", "a" * 64, 3, "application/octet-stream")
    part = Part(0, "sky", (1, 2, 3))
    files = {"generator": weights}
    stores.library.put_model(
        Model(new_id(), SYSTEM_TENANT, "cars", "d" * 64, 16, (part,), {}, files, {}, 0.0)
    )
    stores.progress.present({"name": "host:1:gpu", "queue": "gpu", "device": "cpu"}, ttl_s=600)
    return stores


@pytest.fixture
def url(stores):
    app = create_app(Settings(), stores, lambda queue, job_id: None)
    with on_a_port(app) as address:
        yield address


@pytest.fixture
def run(url):
    """Runs a command; the exit status must be the expected one."""

    def run(*arguments, status=0, where=url):
        result = CliRunner().invoke(main, [*arguments], env={"EDITQ_URL": where})
        assert result.exit_code == status, (arguments, result.output, result.exception)
        return result.output

    return run


@pytest.fixture
def submit(stores):
    return lambda: stores.jobs.add("local", "sample", {"kind": "sample", "model": "cars"}).id


@pytest.fixture
def claim(stores):
    return lambda: stores.jobs.claim("gpu", "host:1:gpu", lease_s=30)


def test_jobs_are_listed_whole_and_as_json(run, submit, stores, claim):
    assert run("jobs", "list").strip() == "No jobs."
    first, second = submit(), submit()
    stores.jobs.fail(claim(), {"code": "non_finite", "detail": "..."})
    listed = run("jobs", "list")
    assert listed.index(second) < listed.index(first)
    assert "non_finite" in listed
    assert "s ago" in listed
    assert first not in run("jobs", "list", "--limit", "1")
    assert second not in run("jobs", "list", "--status", "failed", "--kind", "sample")
    assert [job["id"] for job in json.loads(run("jobs", "list", "--json"))] == [second, first]


def test_a_job_is_shown_watched_and_explained(run, submit, stores, claim):
    job_id = submit()
    assert "queued, next in turn" in run("jobs", "show", job_id)
    assert "A worker is free" in run("jobs", "explain", job_id)
    assert json.loads(run("jobs", "explain", job_id, "--json"))["reasons"][0]["code"] == "next"
    threading.Timer(0.3, lambda: stores.jobs.succeed(claim(), {}, {"psnr_db": 31.5, "seconds": 2.0})).start()
    assert "succeeded in 2.0 s" in run("jobs", "watch", job_id)
    shown = run("jobs", "show", job_id)
    assert re.search(r"psnr_db +31\.5", shown)
    assert json.loads(run("jobs", "show", job_id, "--json"))["id"] == job_id


def test_watching_a_job_that_fails_ends_with_a_status_and_its_error(run, submit, stores, claim):
    job_id = submit()
    stores.jobs.fail(claim(), {"code": "non_finite", "detail": "The loss became infinite."})
    assert "non_finite: The loss became infinite." in run("jobs", "watch", job_id, status=1)
    lines = run("jobs", "watch", job_id, "--json", status=1).splitlines()
    assert json.loads(lines[-1])["status"] == "failed"


def test_jobs_are_canceled_stopped_repeated_and_moved(run, submit, stores, claim):
    first, second = submit(), submit()
    assert run("jobs", "priority", second, "interactive").startswith("interactive")
    assert stores.jobs.get("local", second).priority == "interactive"
    assert "no step" in run("jobs", "stop", second, status=1)
    claimed = claim()
    assert claimed.job.id == second
    assert "asked to stop" in run("jobs", "stop", second)
    assert "asked to cancel" in run("jobs", "cancel", second)
    assert run("jobs", "cancel", first).strip() == "canceled"
    again = run("jobs", "retry", first).strip()
    assert stores.jobs.get("local", again).retry_of == first
    assert "already canceled" in run("jobs", "cancel", first, status=1)
    assert "running" in run("jobs", "retry", second, status=1)
    stores.jobs.requeue(claimed, reason="drain", count=Count.DRAINS)
    assert "stopping" not in run("jobs", "list")


def test_queues_are_listed_paused_and_resumed(run, submit, stores):
    submit()
    assert re.search(r"gpu +open +1 +1 +0", run("queues", "list"))
    assert "gpu is paused: 1 wait" in run("queues", "pause")
    assert re.search(r"gpu +paused", run("queues", "list"))
    assert "gpu is open" in run("queues", "resume", "gpu")
    assert "no such queue" in run("queues", "pause", "nothing", status=1)
    assert json.loads(run("queues", "list", "--json"))[0]["name"] == "gpu"


def test_workers_are_listed_drained_and_let_go(run, submit, claim):
    job_id = submit()
    claim()
    assert re.search(rf"host:1:gpu +gpu +busy +cpu +{job_id}", run("workers", "list"))
    assert "draining: 1 still to put back" in run("workers", "drain", "host:1:gpu")
    assert re.search(r"host:1:gpu +gpu +draining", run("workers", "list"))
    assert "host:1:gpu is busy" in run("workers", "undrain", "host:1:gpu")
    assert "no such worker" in run("workers", "drain", "host:9:gpu", status=1)


def test_what_goes_wrong_is_said_in_a_line(run):
    said = run("jobs", "show", "f" * 32, status=1)
    assert said.startswith("Error: There is no job")
    assert "Traceback" not in said
    assert "does not answer" in run("jobs", "list", status=1, where="http://127.0.0.1:9")
    assert run("jobs", "list", status=1, where="http://[").startswith("Error:")
    assert run("jobs", "list", status=1, where="nowhere").startswith("Error:")
    assert "interactive" in run("jobs", "priority", "f" * 32, "urgent", status=2)


def test_usage_is_shown_by_day_and_kind(run, submit, stores):
    assert "Nothing has ended since" in run("usage")
    stores.jobs.request_cancel("local", submit())
    assert re.search(r"sample +1 +0 +0.0 s", run("usage", "--days", "2"))
    assert json.loads(run("usage", "--json"))["jobs"] == 1
    assert run("usage", "--days", "0", status=2)


@pytest.mark.parametrize("group", ["batch", "jobs", "queues", "workers"])
def test_every_command_explains_itself(run, group):
    listed = run(group, "--help").partition("Commands:")[2]
    commands = re.findall(r"^  ([a-z]+)  ", listed, re.MULTILINE)
    assert len(commands) >= 3
    assert "..." not in listed
    for command in commands:
        said = run(group, command, "--help")
        assert "--json" in said
        assert "EDITQ_URL" in said
