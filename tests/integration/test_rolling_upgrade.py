"""While a release is rolled out, old and new processes share tables, broker and store, and work together."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from servers import free_port
from worker_plant import ROOT, Plant

# The last commit of the version before: before keys, usage and what came with them.
OLD_COMMIT = "fd6789a0aba7650414fa7eb216d795d296593acb"
WAIT_S = 150.0


@pytest.fixture
def old_tree(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "old"
    git = ["git", "-C", str(ROOT)]
    added = subprocess.run(
        [*git, "worktree", "add", "--detach", str(folder), OLD_COMMIT], capture_output=True
    )
    if added.returncode != 0:
        reason = f"no commit {OLD_COMMIT[:7]} here: {added.stderr.decode().strip()}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    yield folder
    subprocess.run([*git, "worktree", "remove", "--force", str(folder)], check=True, capture_output=True)


@contextmanager
def api_of(tree: Path, plant: Plant) -> Iterator[httpx.Client]:
    port, log = free_port(), plant.folder / "api.log"
    command = [sys.executable, "-m", "gunicorn", "-c", "python:api.gunicorn_conf", "api.wsgi:app"]
    environ = plant.environ | {"PYTHONPATH": str(tree), "EDITQ_PORT": str(port), "WEB_CONCURRENCY": "1"}
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=tree, env=os.environ | environ, stdout=file, stderr=file)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as http:
            deadline = time.monotonic() + WAIT_S
            while not ready(http):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            yield http
    finally:
        process.terminate()
        process.wait(30)


def ready(http: httpx.Client) -> bool:
    try:
        return http.get("/readyz").is_success
    except httpx.TransportError:
        return False


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("of_api", "of_worker"), [("new", "old"), ("old", "new")])
def test_a_job_goes_through_processes_of_two_versions(
    of_api: str, of_worker: str, old_tree: Path, tmp_path: Path, redis_url: str
) -> None:
    trees = {"old": old_tree, "new": ROOT}
    folder = tmp_path / "data"
    folder.mkdir()
    with Plant.opened(folder, redis_url) as plant:
        for worker in plant.workers:
            plant.kill(worker)
        for queue in ("gpu", "cpu"):
            plant.start(queue, root=trees[of_worker])
        with api_of(trees[of_api], plant) as http:
            ids = [submitted(http, {"kind": "sample", "seed": seed, "count": 1}) for seed in (1, 2)]
            ended = [done(http, job, plant) for job in ids]
        for job in ended:
            assert job["status"] == "succeeded", job
            assert job["attempt"] == 1
            assert job["outputs"]


def submitted(http: httpx.Client, spec: dict[str, object]) -> str:
    answer = http.post("/v1/jobs", json={"model": "cars", **spec})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def done(http: httpx.Client, job: str, plant: Plant) -> dict[str, object]:
    def ended() -> dict[str, object] | None:
        told: dict[str, object] = http.get(f"/v1/jobs/{job}").json()
        return told if told["status"] not in ("queued", "running") else None

    found: dict[str, object] = plant.until(ended, "the end of a job")
    return found
