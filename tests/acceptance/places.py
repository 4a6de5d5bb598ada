"""A data folder to work in, and commands started there as a user starts them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from editq.client import Client
from editq.folder import DataFolder

ROOT = Path(__file__).resolve().parents[2]
UP = (sys.executable, "-m", "editq.cli", "up")


def until(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@dataclass
class Place:
    """A data folder, and the environment of commands that are to work in it."""

    path: Path
    env: dict[str, str]

    @property
    def folder(self) -> DataFolder:
        return DataFolder(self.path)

    def processes(self) -> list[str]:
        """Command lines of all processes that were started with this data folder."""
        mark = f"EDITQ_DATA_DIR={self.path}".encode()
        return [line for pid, line in processes_with(mark) if pid != os.getpid()]

    def start(self, command: tuple[str, ...] = UP, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.path.parent,
            env={**self.env, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def register(self, models: Path) -> None:
        """Do what a release does, with models of this folder."""
        script = (
            "import sys; from pathlib import Path; from workers.release import release; "
            "from storage.settings import Settings; release(Settings(), Path(sys.argv[1]))"
        )
        subprocess.run([sys.executable, "-c", script, str(models)], env=self.env, check=True)

    def client(self) -> Client:
        address = self.folder.running_address()
        assert address is not None
        return Client(address, key=self.folder.key())

    def answers(self) -> bool:
        address = self.folder.read().get("address")
        return isinstance(address, str) and httpx.get(f"{address}/readyz", trust_env=False).is_success

    def until_ready(self, process: subprocess.Popen[str], timeout_s: float = 60.0) -> None:
        def ready() -> bool:
            state = self.folder.read()  # a killed run may have left one
            return state.get("pid") == process.pid and state["address"] is not None

        until(lambda: process.poll() is not None or ready(), timeout_s)
        assert process.poll() is None, process.communicate()[0]


def processes_with(mark: bytes) -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue


def finish(process: subprocess.Popen[str], signum: int | None = None, timeout_s: float = 60.0) -> str:
    """Send it a signal, wait for its end, and return what it printed."""
    if signum is not None:
        process.send_signal(signum)
    try:
        return process.communicate(timeout=timeout_s)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"it did not end: {process.communicate()[0]}")


def make_place(path: Path) -> Place:
    keep = {name: value for name, value in os.environ.items() if not name.startswith("EDITQ_")}
    env = {**keep, "EDITQ_DATA_DIR": str(path), "PYTHONPATH": str(ROOT), "EDITQ_THREADS": "2"}
    path.mkdir(parents=True)
    return Place(path, env)
