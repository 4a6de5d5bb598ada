"""The API under gunicorn, started for real: SQLite, files, and a board that is there or away."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import servers

from storage.library_records import Model, Part
from storage.migrate import migrate
from storage.records import SYSTEM_TENANT, Claim, ObjectRef, new_id
from storage.settings import Settings
from storage.stores import Stores, open_stores

DIGEST = "d" * 64
MAX_BODY_BYTES = 3_000_000
THREADS = 8  # of which 4 may wait


@dataclass
class Service:
    http: httpx.Client
    stores: Stores  # the same data, opened here: the tests are the worker
    process: subprocess.Popen[bytes]
    log: Path
    port: int

    def submit(self, **fields: object) -> str:
        answer = self.http.post("/v1/jobs", json={"kind": "sample", **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def claim(self) -> Claim:
        claim = self.stores.jobs.claim("gpu", "test:1:gpu", lease_s=60)
        assert claim is not None
        return claim


def cars() -> Model:
    weights = ObjectRef("system/models/cars/d/generator", "a" * 64, 3, "application/octet-stream")
    parts = (Part(0, "sky", (0, 0, 255)), Part(1, "body", (255, 0, 0)))
    return Model(new_id(), SYSTEM_TENANT, "cars", DIGEST, 16, parts, {}, {"generator": weights}, {}, 0.0)


@contextmanager
def serving(
    folder: Path, redis_url: str, *, threads: int | None = THREADS, **environment: str
) -> Iterator[Service]:
    """`threads` None: as many as the service has by default. `environment`: more variables."""
    settings = Settings(data_dir=folder, redis_url=redis_url)
    migrate(settings.database_url)
    stores = open_stores(settings)
    stores.library.put_model(cars())
    port, log = servers.free_port(), folder / "api.log"
    own = {name: value for name, value in os.environ.items() if not name.startswith("EDITQ_")}
    environment = own | {
        "WEB_CONCURRENCY": "1",
        **environment,
        "EDITQ_DATA_DIR": str(folder),
        "EDITQ_REDIS_URL": redis_url,
        "EDITQ_PORT": str(port),
        "EDITQ_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
    }
    command = [sys.executable, "-m", "gunicorn", "-c", "python:api.gunicorn_conf", "api.wsgi:app"]
    command += [] if threads is None else ["--threads", str(threads)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stderr=output, stdout=output)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as http:
            _await_answer(http, process, log)
            yield Service(http, stores, process, log, port)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_answer(http: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if http.get("/livez").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())
