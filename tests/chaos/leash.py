"""Ends what a World has started when the World's own process is gone, however it ended.

A process of its own: it reads what there is to end from its input (one JSON list a line), and acts when that
closes without a word. `done` says that the World has cleared up by itself.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path


class Leash:
    """The World's side."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, start_new_session=True
        )
        self.pid = self._process.pid

    def hold(self, kind: str, what: int | str) -> None:
        """`process` (and the group that it leads), `folder` (and whoever was started for it), `mount`,
        `namespace`."""
        started = _started(int(what)) if kind == "process" else ""
        self._say([kind, what, started])

    def let_go(self) -> None:
        self._say(["done", "", ""])
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _say(self, line: list[object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        self._process.stdin.flush()


def _started(pid: int) -> str:
    """When a process began, in clock ticks: a pid used again is another process."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def sweep(chaos_dir: str) -> None:
    """End every process that was started for a World (its folder is in their environment)."""
    mark = f"CHAOS_DIR={chaos_dir}".encode()
    found = True
    while found:  # one that was just being started may have started another
        found = False
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)
                    found = True
        time.sleep(0.05)


def _end_process(pid: int, started: str) -> None:
    if not started or _started(pid) != started or pid == os.getpid():
        return
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGCONT)
        os.killpg(pid, signal.SIGKILL) if os.getpgid(pid) == pid else os.kill(pid, signal.SIGKILL)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    held = [json.loads(line) for line in sys.stdin]
    if held and held[-1][0] == "done":
        return
    for kind, what, started in reversed(held):
        match kind:
            case "process":
                _end_process(what, started)
            case "mount":
                subprocess.run(["umount", "--lazy", what], check=False)
            case "namespace":
                subprocess.run(["ip", "netns", "delete", what], check=False)
            case "folder":
                sweep(what)
                shutil.rmtree(what, ignore_errors=True)


if __name__ == "__main__":
    main()
