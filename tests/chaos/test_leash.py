"""Whatever becomes of the harness, nothing that it has started stays behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.chaos
HARNESS = """
import os, signal, subprocess, sys
from chaos.leash import Leash

# what a shell runs in the background is born ignoring it
signal.signal(signal.SIGINT, signal.default_int_handler)

leash = Leash()
folder = sys.argv[1]
leash.hold("folder", folder)
worker = subprocess.Popen(["sleep", "600"], env={"CHAOS_DIR": folder}, start_new_session=True)
server = subprocess.Popen(["sleep", "600"])
for pid in (os.getpid(), leash.pid, server.pid):  # the World holds all its children: the leash is one of them
    leash.hold("process", pid)
if sys.argv[2] == "done":
    leash.let_go()
print(worker.pid, server.pid, flush=True)
input()
"""


def harness(folder: Path, ending: str) -> tuple[subprocess.Popen[str], list[int]]:
    command = [sys.executable, "-c", HARNESS, str(folder), ending]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(command, env=environ, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    return process, [int(pid) for pid in process.stdout.readline().split()]


def alive(pid: int) -> bool:
    """A zombie that nobody has waited for yet is not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_harness_that_dies_takes_everything_with_it(tmp_path: Path, number: int) -> None:
    folder = tmp_path / "world"
    folder.mkdir()
    process, started = harness(folder, "crash")
    assert all(map(alive, started))
    process.send_signal(number)
    process.wait()
    deadline = time.monotonic() + 30
    while any(map(alive, started)) or folder.exists():
        assert time.monotonic() < deadline, "something stayed behind"
        time.sleep(0.02)


def test_a_harness_that_has_cleared_up_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "world"
    folder.mkdir()
    process, started = harness(folder, "done")
    process.kill()
    process.wait()
    time.sleep(0.5)
    try:
        assert all(map(alive, started))
        assert folder.exists()
    finally:
        for pid in started:
            os.kill(pid, signal.SIGKILL)
