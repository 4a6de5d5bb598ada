"""The data folder of an embedded service: who runs in it now, and what a killed run left there."""

import base64
import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from editq.processes import end_leftover, started_at

KEY_FILE = "key"


class AlreadyRunning(Exception):
    """Another process has this folder's service."""

    def __init__(self, address: str | None) -> None:
        super().__init__(f"already running at {address}" if address else "another process is starting it")
        self.address = address


@dataclass(frozen=True)
class DataFolder:
    """`private`: ours, and nobody else may look in. A folder that the operator named keeps its rights."""

    path: Path
    private: bool = True

    @classmethod
    def chosen(cls, environ: Mapping[str, str]) -> "DataFolder":
        named = environ.get("EDITQ_DATA_DIR")
        return cls(Path(named or ".editq").resolve(), private=not named)

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def _state(self) -> Path:
        return self.path / "service.json"

    @property
    def _lock(self) -> Path:
        return self.path / "service.lock"

    def _make(self) -> None:
        """A new folder is its owner's alone; one that an earlier run made more open is closed."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.path.mkdir(mode=0o700)
        except FileExistsError:
            if self.private and self._lock.exists():
                self.path.chmod(self.path.stat().st_mode & 0o700)
        self.logs.mkdir(exist_ok=True)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """The lock is the kernel's, so it ends with its holder, however that ends. Raises AlreadyRunning."""
        self._make()
        with self._lock.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(self.read().get("address")) from None
            try:
                yield
            finally:
                self._state.unlink(missing_ok=True)

    def busy(self) -> bool:
        """Whether a service holds this folder."""
        try:
            with self._lock.open("r") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def running_address(self, *, wait_s: float = 60.0) -> str | None:
        """Where this folder's service answers, waiting while it starts; None when none runs."""
        deadline = time.monotonic() + wait_s
        while self.busy():
            address = self.read().get("address")
            if isinstance(address, str):
                return address
            if time.monotonic() > deadline:
                raise AlreadyRunning(None)
            time.sleep(0.2)
        return None

    def webhook_secret(self) -> str:
        """What webhooks are signed with: made once, for its owner alone. Only the lock's holder asks."""
        path = self.path / "webhook_secret"
        if not path.exists():
            draft = path.with_suffix(".new")
            draft.unlink(missing_ok=True)
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
            draft.replace(path)
        return path.read_text().strip()

    def key(self) -> str | None:
        """The API key of this folder's own service, where that asks for keys."""
        try:
            return (self.path / KEY_FILE).read_text().strip() or None
        except OSError:
            return None

    def read(self) -> dict[str, Any]:
        """The state file; empty where there is none, or none that can be read."""
        try:
            state = json.loads(self._state.read_text())
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def write(self, *, address: str | None, pids: Mapping[str, int]) -> None:
        """`address` is there once the service is ready. Start times make the ids unmistakable."""
        processes = {name: {"pid": pid, "started": started_at(pid)} for name, pid in pids.items()}
        state = {"address": address, "pid": os.getpid(), "processes": processes}
        draft = self._state.with_suffix(".new")
        draft.write_text(json.dumps(state, indent=2) + "\n")
        draft.replace(self._state)

    def end_leftovers(self) -> None:
        """End what a killed run left running. Only the lock's holder may do this."""
        processes = self.read().get("processes", {})
        for entry in reversed(list(processes.values())):
            if isinstance(entry.get("pid"), int) and isinstance(entry.get("started"), str):
                end_leftover(entry["pid"], entry["started"], grace_s=10.0)
        self._state.unlink(missing_ok=True)
