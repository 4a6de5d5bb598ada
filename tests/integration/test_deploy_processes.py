"""The processes of deploy/kubernetes, as its manifests start, ask and end them, over real stores."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow
from pods import JSON, Pod, built, running
from servers import S3Server, free_port

WAIT_S = 240.0


@pytest.fixture
def objects(tmp_path: Path) -> list[JSON]:
    return built("trial", tmp_path)


@pytest.fixture
def here(postgres_url: str, valkey_url: str, rclone_s3: S3Server) -> dict[str, str]:
    """Where the stores are on this machine, which has no GPU."""
    return {
        "EDITQ_DATABASE_URL": postgres_url.replace("+psycopg", ""),
        "EDITQ_REDIS_URL": valkey_url,
        "EDITQ_S3_ENDPOINT": rclone_s3.endpoint,
        "EDITQ_S3_BUCKET": rclone_s3.new_bucket(),
        "EDITQ_S3_ACCESS_KEY": rclone_s3.access_key,
        "EDITQ_S3_SECRET_KEY": rclone_s3.secret_key,
        "EDITQ_PORT": str(free_port()),
        "EDITQ_HOST": "127.0.0.1",
        "EDITQ_KEYS_REQUIRED": "true",  # as they are by default on the manifest's address
        "EDITQ_DEVICE": "cpu",
        "EDITQ_THREADS": "1",
    }


def until(happened: Callable[[], Any], what: str, *pods: Pod) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (found := happened()):
        logs = "\n".join(pod.output()[-3000:] for pod in pods)
        assert time.monotonic() < deadline, f"{what} did not happen\n{logs}"
        time.sleep(0.1)
    return found


def picture() -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Pillow.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_service_of_the_manifests_does_a_job_and_drains_within_its_grace_period(
    objects: list[JSON], here: dict[str, str], tmp_path: Path
) -> None:
    with running(objects, "Deployment", "web", tmp_path, here, init=True) as waiting:
        until(lambda: "waiting for" in waiting.output(), "the wait for the release", waiting)
        with running(objects, "Job", "release", tmp_path, here) as release:
            assert release.process.wait(WAIT_S) == 0, release.output()
        assert waiting.process.wait(WAIT_S) == 0, waiting.output()
    auth = {"Authorization": f"Bearer {first_key(here)}"}
    with (
        running(objects, "Deployment", "web", tmp_path, here) as web,
        running(objects, "Deployment", "cpu", tmp_path, here) as cpu,
        running(objects, "Deployment", "gpu", tmp_path, here) as gpu,
        httpx.Client(
            base_url=f"http://127.0.0.1:{web.port}", timeout=30, trust_env=False, headers=auth
        ) as http,
    ):
        for pod in (web, cpu, gpu):
            pod.until_ready()
            scraped = httpx.get(f"http://127.0.0.1:{pod.metrics_port}/metrics", trust_env=False)
            assert "editq_" in scraped.text
        assert httpx.get(f"{http.base_url}/v1/jobs", trust_env=False).status_code == 401
        job = long_job(http)
        until(lambda: (state(http, job)["progress"] or {}).get("step", 0) > 2, "a few steps", web, gpu)
        status, took_s = gpu.end()
        assert status == 0, gpu.output()
        assert took_s < 60  # far within the grace period: a step and a checkpoint
        drained = state(http, job)
        assert (drained["status"], drained["drains"]) == ("queued", 1)
        assert http.post(f"/v1/jobs/{job}/stop").status_code == 202  # what is left would take long here
        with running(objects, "Deployment", "gpu", tmp_path, here) as another:
            until(lambda: state(http, job)["status"] not in ("queued", "running"), "the end", web, another)
        ended = state(http, job)
        assert (ended["status"], ended["attempt"], ended["lost"]) == ("succeeded", 2, 0), ended
        assert ended["result"]["stopped_early"] is True
        for pod in (cpu, web):
            status, took_s = pod.end()
            assert status == 0, pod.output()
            assert took_s < 30


def first_key(here: dict[str, str]) -> str:
    """As docs/operations.md says: by a command in a pod."""
    command = [sys.executable, "-m", "workers.keys", "create", "--tenant", "local", "--scope", "admin"]
    done = subprocess.run(
        [*command, "--name", "first"], env=os.environ | here, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def long_job(http: httpx.Client) -> str:
    image = http.post("/v1/images", files={"file": ("noise.png", picture(), "image/png")})
    assert image.status_code == 201, image.text
    spec = {"kind": "invert", "model": "cars", "image": image.json()["id"], "steps": 100, "reuse": False}
    answer = http.post("/v1/jobs", json=spec)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def state(http: httpx.Client, job: str) -> JSON:
    answer = http.get(f"/v1/jobs/{job}")
    assert answer.is_success, answer.text
    told: JSON = answer.json()
    return told
