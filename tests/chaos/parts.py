"""What a World is made of: a broker to be killed and frozen, databases, object stores, the API, workers."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import redis
import servers

ROOT = Path(__file__).parents[2]
CELERY = (sys.executable, "-m", "celery", "-A", "workers.celery_app", "worker", "--loglevel", "INFO")
GUNICORN = (sys.executable, "-m", "gunicorn", "-c", "python:api.gunicorn_conf", "--threads", "24")
PATIENCE_S = 60.0  # for what a busy machine does slowly


@dataclass(frozen=True)
class Stack:
    """Which backends: the embedded service's, or a deployment's."""

    database: str
    objects: str
    broker: str

    def __str__(self) -> str:
        return f"{self.database}+{self.objects}+{self.broker}"


EMBEDDED = Stack("sqlite", "files", "valkey")
DEPLOYED = Stack("postgresql", "s3", "redis")


def until(happened: Any, what: str, *, within_s: float = PATIENCE_S) -> Any:
    """What `happened()` returns, once it is true. Raises TimeoutError."""
    deadline = time.monotonic() + within_s
    while not (found := happened()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {within_s:.0f} s")
        time.sleep(0.02)
    return found


class Broker:
    """Valkey or Redis with an append-only file, which outlives its process."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.port = servers.free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        program = servers.valkey_binary() if kind == "valkey" else servers.program("redis-server")
        folder.mkdir()
        options = {"bind": "127.0.0.1", "port": str(self.port), "dir": str(folder), "save": ""}
        options |= {"appendonly": "yes", "maxmemory-policy": "noeviction"}
        self._command = [program, *(word for name, value in options.items() for word in (f"--{name}", value))]
        self.client = redis.Redis.from_url(self.url, socket_timeout=5)

    def start(self) -> int:
        """Its pid."""
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(self._command, start_new_session=True, **quiet)
        until(self.answers, "the start of the broker")
        return self.process.pid

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.client.close()
        with contextlib.suppress(ProcessLookupError):
            self.thaw()
        self.kill()


@contextlib.contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/editq.db"
        return
    with servers.postgres_cluster() as url:
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("CREATE DATABASE chaos")
        yield url.rpartition("/")[0] + "/chaos"


@contextlib.contextmanager
def object_server(kind: str, folder: Path) -> Iterator[tuple[servers.S3Server, str] | None]:
    """An S3 server and a bucket in it; None: objects are files."""
    if kind == "files":
        yield None
        return
    folder.mkdir()
    with servers.rclone_server(folder) as server:
        yield server, server.new_bucket()


@dataclass
class Worker:
    """A Celery parent and its pool child. Its process group is its own."""

    queue: str
    process: subprocess.Popen[bytes]
    log: Path
    environ: dict[str, str]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def children(self) -> list[int]:
        """The pool children; helpers that only track resources are not counted."""
        return [child for child in _children(self.pid) if b"spawn_main" in _command_line(child)]

    @property
    def ready(self) -> bool:
        return self.alive and b" ready." in self.log.read_bytes() and bool(self.children)

    def strike(self, target: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to the child, the parent, or both."""
        pids = {"child": self.children, "parent": [self.pid], "both": [self.pid, *self.children]}[target]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def start(command: tuple[str, ...], log: Path, environ: dict[str, str]) -> subprocess.Popen[bytes]:
    """A process of its own group, whose output goes to `log`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("EDITQ_")}
    with log.open("ab") as file:
        return subprocess.Popen(
            command,
            env=inherited | environ,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """At once, with all of its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Api:
    """gunicorn, and a client that speaks to it as a caller would."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        port = servers.free_port()
        self.log = folder / "api.log"
        settings = {"EDITQ_PORT": str(port), "WEB_CONCURRENCY": "1"}
        self.process = start((*GUNICORN, "api.wsgi:app"), self.log, environ | settings)
        limits = httpx.Limits(max_connections=64, keepalive_expiry=1.0)  # gunicorn closes after 2 s
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False, limits=limits
        )

    def answers(self) -> bool:
        try:
            return self.http.get("/livez").status_code == 200
        except httpx.TransportError:
            return False

    @property
    def processes(self) -> list[int]:
        return [self.process.pid, *_children(self.process.pid)]

    def close(self) -> None:
        self.http.close()
        stop(self.process)


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _command_line(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
