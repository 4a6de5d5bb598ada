"""Real worker processes over a real broker, SQLite and files, for tests: started, killed, told to end."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import redis
from PIL import Image as Pillow
from tiny_model import make_tiny_model

from storage.migrate import migrate
from storage.objects import image_key
from storage.records import Image, Job, Status, new_id
from storage.settings import Settings
from storage.specs import DEFAULT_OPTIONS, JobOptions
from storage.stores import Stores, open_stores
from workers.queue import Doorbell, Hint
from workers.release import register_models

WAIT_S = 100.0  # by far enough, also where many tests share two cores
CELERY = (sys.executable, "-m", "celery", "-A", "workers.celery_app", "worker", "--loglevel", "INFO")
COMMAND = (*CELERY, "--without-mingle", "--without-gossip")
ROOT = Path(__file__).parents[2]


@dataclass
class Worker:
    queue: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def children(self) -> list[int]:
        """The pool children; helpers that only track resources are not counted."""
        pid = self.process.pid
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in listed if b"_tracker" not in _command_line(int(child))]

    def output(self) -> str:
        return self.log.read_text(errors="replace")


@dataclass
class Plant:
    folder: Path
    redis_url: str
    others: dict[str, Any] = field(default_factory=dict)  # settings that differ from those below
    workers: list[Worker] = field(default_factory=list)
    stores: Stores = field(init=False)
    bell: Doorbell = field(init=False)
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        members = {
            "data_dir": self.folder,
            "redis_url": self.redis_url,
            "lease_s": 5.0,  # importing torch keeps all threads from running, for a while
            "housekeeping_s": 0.3,
            "presence_s": 1.0,
            "checkpoint_s": 0.1,
            "device": "cpu",
            "threads": 1,
            **self.others,
        }
        self.environ = {f"EDITQ_{name.upper()}": str(value) for name, value in members.items()}
        self.settings = Settings(**members)  # type: ignore[arg-type]
        self.stores = open_stores(self.settings)
        self.bell = Doorbell(self.redis_url)
        self.broker = redis.Redis.from_url(self.redis_url)

    @classmethod
    @contextlib.contextmanager
    def opened(cls, folder: Path, redis_url: str, **others: Any) -> Iterator["Plant"]:
        """With a database, a tiny model, a worker for each queue, and a broker that holds nothing."""
        with redis.Redis.from_url(redis_url) as broker:
            broker.flushall()
            with cls.working(folder, redis_url, **others) as plant:
                try:
                    yield plant
                finally:
                    broker.flushall()

    @classmethod
    @contextlib.contextmanager
    def working(cls, folder: Path, redis_url: str, **others: Any) -> Iterator["Plant"]:
        """The same, and whatever the broker holds; it may be away at the end."""
        make_tiny_model(folder / "pretrained")
        plant = cls(folder, redis_url, others)
        migrate(plant.settings.database_url)
        register_models(plant.stores, folder / "pretrained")
        try:
            plant.start("cpu")
            plant.start("gpu")
            yield plant
        finally:
            plant.stop()

    def start(self, queue: str, *options: str, root: Path = ROOT, **environ: str) -> Worker:
        """`root`: the tree whose code it runs."""
        log = self.folder / f"{queue}-{len(self.workers)}.log"
        command = (*COMMAND, "-Q", queue, "--hostname", f"{queue}@%h", *options)
        with log.open("wb") as file:
            process = subprocess.Popen(
                command,
                env=os.environ | self.environ | {"PYTHONPATH": str(root)} | environ,
                cwd=root,
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        worker = Worker(queue, process, log)
        self.workers.append(worker)
        return worker

    def submit(
        self, kind: str, *, ring: bool = True, options: JobOptions = DEFAULT_OPTIONS, **spec: Any
    ) -> Job:
        members = {"kind": kind, "model": "cars", **spec}
        job = self.stores.jobs.add("local", kind, members, options=options)
        if ring:
            self.bell.ring(job.queue, str(Hint(job.id, members["model"])))
        return job

    def get(self, job: Job) -> Job:
        return self.stores.jobs.get("local", job.id)

    def types(self, job: Job) -> list[str]:
        return [event.type for event in self.stores.jobs.events("local", job.id)]

    def until(self, happened: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            if found := happened():
                return found
            time.sleep(0.02)
        logs = "\n".join(f"--- {worker.log.name}\n{worker.output()[-3000:]}" for worker in self.workers)
        raise AssertionError(f"{what} did not happen in {WAIT_S:.0f} s\n{logs}")

    def ended(self, job: Job) -> Job:
        self.until(lambda: self.get(job).status.ended, f"the end of {job.kind} {job.id}")
        return self.get(job)

    def under_way(self, job: Job) -> Job:
        """Running, with a checkpoint kept."""
        self.until(
            lambda: self.get(job).status is Status.RUNNING and self.get(job).checkpoint, "a checkpoint"
        )
        return self.get(job)

    def kill(self, worker: Worker) -> None:
        """Nobody is told anything: the parent dies at once, and takes its child with it."""
        worker.process.kill()
        worker.process.wait()

    def stop(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(worker.process.pid, signal.SIGKILL)
                worker.process.wait()
        self.broker.close()


def gpu(plant: Plant) -> Worker:
    """The GPU worker that was started last."""
    return next(worker for worker in reversed(plant.workers) if worker.queue == "gpu")


def upload_noise(plant: Plant) -> str:
    """The id of a picture."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype=np.uint8)
    Pillow.fromarray(pixels).save(buffer, "PNG")
    ref = plant.stores.objects.put(image_key("local", "0" * 64), buffer.getvalue(), "image/png")
    image = Image(new_id(), "local", "picture", ref, 48, 40, "noise.png", 0.0)
    return plant.stores.library.add_image(image).id


def begun_inversion(plant: Plant, picture: str, *, steps: int) -> Job:
    """One that is under way, and takes over no earlier one's code."""
    job = plant.submit("invert", image=picture, steps=steps, reuse=False)
    return plant.under_way(job)


def _command_line(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b"_tracker"
