"""Flower beside editq, started by the command of docs/monitoring.md, over a real broker and real workers."""

import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import servers
from worker_plant import ROOT, Plant

from storage.records import Status

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # torch is imported
PAGE = (ROOT / "docs/monitoring.md").read_text().partition("## Flower")[2]
WORK = "workers.tasks.work"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory, valkey_url: str) -> Iterator[Plant]:
    with Plant.opened(tmp_path_factory.mktemp("flower"), valkey_url) as plant:
        plant.until(lambda: len(plant.stores.progress.workers()) == 2, "the workers' presence")
        yield plant


@pytest.fixture(scope="module")
def flower(plant: Plant) -> Iterator[httpx.Client]:
    port = servers.free_port()
    told = re.search(r"^celery -A .* flower .*?(?=\s+#|$)", PAGE, re.MULTILINE)
    assert told is not None, PAGE
    command = [*shlex.split(told[0]), f"--port={port}"]
    command[0] = str(Path(sys.executable).with_name("celery"))
    opened = {"FLOWER_UNAUTHENTICATED_API": "true"}  # so that what refuses below is the command's --read_only
    environ = os.environ | plant.environ | {"PYTHONPATH": str(ROOT)} | opened
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client,
        servers.running(command, lambda: client.get("/healthcheck"), env=environ, cwd=plant.folder),
    ):
        yield client


def _tasks(flower: httpx.Client) -> list[dict[str, str]]:
    """What its page of tasks shows. Asked as that page's script does."""
    asked = {"draw": "1", "start": "0", "length": "50", "search[value]": "", "order[0][column]": "0"}
    asked |= {"columns[0][data]": "name", "order[0][dir]": "asc"}
    answer = flower.get("/tasks/datatable", params=asked)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


def test_flower_shows_both_workers_and_the_task_that_a_job_rang_for(
    plant: Plant, flower: httpx.Client
) -> None:
    def workers() -> dict[str, bool]:
        return {each["hostname"]: each["status"] for each in flower.get("/workers?json=1").json()["data"]}

    def queues() -> set[str]:
        return {name.partition("@")[0] for name, online in workers().items() if online}

    def done(hint: str) -> list[dict[str, str]]:
        ended = [each for each in _tasks(flower) if each["state"] == "SUCCESS"]
        return [each for each in ended if hint in (each["args"] or "")]

    def heard() -> bool:
        plant.bell.ring("gpu", "hello")  # for nothing: Flower asks workers for events every few seconds
        return bool(done("hello"))

    plant.until(lambda: queues() == {"cpu", "gpu"}, "both workers in Flower")
    plant.until(heard, "a message in Flower")
    job = plant.submit("sample")
    assert plant.ended(job).status is Status.SUCCEEDED
    (task,) = plant.until(lambda: done(job.id), "the task's end in Flower")
    assert task["name"] == WORK
    assert task["worker"].startswith("gpu@")
    for page in ("/", f"/worker/{task['worker']}", "/tasks", f"/task/{task['uuid']}", "/broker"):
        assert flower.get(page).status_code == 200, page
    assert job.id in flower.get(f"/task/{task['uuid']}").text


def test_flower_so_started_can_change_nothing(plant: Plant, flower: httpx.Client) -> None:
    listed = plant.until(lambda: flower.get("/workers?json=1").json()["data"], "a worker in Flower")
    name = listed[0]["hostname"]
    for path in (f"worker/shutdown/{name}", f"worker/pool/restart/{name}", f"task/send-task/{WORK}"):
        assert flower.post(f"/api/{path}", json={"args": []}).status_code == 403, path
    assert flower.get("/api/workers").status_code == 200
    assert all(worker.process.poll() is None for worker in plant.workers)
