"""Child processes: started in sessions of their own, ended in order, taken along by a killed parent."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from editq import processes
from editq.processes import Interrupted, Signals, spawn, started_at, stop

pytestmark = pytest.mark.thorough

SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('up', flush=True)\ntime.sleep(600)",
)
WITH_GRANDCHILD = (
    sys.executable,
    "-c",
    f"import subprocess, time; print(subprocess.Popen({STUBBORN!r}).pid, flush=True); time.sleep(600)",
)


def until(condition, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def start(command, tmp_path):
    return spawn("thing", command, env=dict(os.environ), log=tmp_path / "thing.log")


def test_term_ends_a_child(tmp_path):
    child = start(SLEEPER, tmp_path)
    assert child.running
    stop([child], grace_s=10)
    assert child.process.returncode == -signal.SIGTERM


def test_a_child_that_ignores_term_is_killed_after_the_grace(tmp_path):
    child = start(STUBBORN, tmp_path)
    until(lambda: "up" in child.output())
    stop([child], grace_s=0.2)
    assert child.process.returncode == -signal.SIGKILL


def test_hurry_cuts_the_grace_short(tmp_path):
    child = start(STUBBORN, tmp_path)
    until(lambda: "up" in child.output())
    began = time.monotonic()
    stop([child], grace_s=60, hurry=lambda: True)
    assert time.monotonic() - began < 10


def test_grandchildren_do_not_survive(tmp_path):
    child = start(WITH_GRANDCHILD, tmp_path)
    until(lambda: "up" in child.output())
    grandchild = int(child.output().split()[0])
    stop([child], grace_s=5)
    until(lambda: started_at(grandchild) is None)


def test_stopping_what_has_ended_is_no_error(tmp_path):
    child = start((sys.executable, "-c", "print('bye')"), tmp_path)
    until(lambda: not child.running)
    assert child.tail() == "bye"
    stop([child], grace_s=1)
    stop([child], grace_s=1)
    assert child.process.returncode == 0


def test_the_tail_is_of_this_start_only(tmp_path):
    (tmp_path / "thing.log").write_text("an older start\n")
    child = start((sys.executable, "-c", "print('new')"), tmp_path)
    until(lambda: not child.running)
    stop([child], grace_s=1)
    assert child.tail() == "new"


@pytest.mark.skipif(sys.platform != "linux", reason="PDEATHSIG is Linux's")
def test_a_killed_parent_takes_its_children_along(tmp_path):
    script = textwrap.dedent(f"""
        import os, sys, time
        from pathlib import Path
        from editq.processes import spawn
        child = spawn("c", {SLEEPER!r}, env=dict(os.environ), log=Path({str(tmp_path / "c.log")!r}))
        print(child.process.pid, flush=True)
        time.sleep(600)
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert started_at(pid) is not None
        parent.kill()
    until(lambda: started_at(pid) is None)


def test_a_leftover_is_ended_only_if_it_is_that_very_process(tmp_path):
    child = start(SLEEPER, tmp_path)
    pid = child.process.pid
    processes.end_leftover(pid, "0", grace_s=0.1)
    assert child.running
    processes.end_leftover(pid, started_at(pid), grace_s=5)
    assert not child.running
    stop([child], grace_s=0)


def test_a_signal_waits_for_the_end_of_a_shield():
    reached = []
    with pytest.raises(Interrupted) as caught, Signals().caught() as signals:  # noqa: PT012
        with signals.shielded():
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append("inside")
        reached.append("after")
    assert reached == ["inside"]
    assert caught.value.exit_status == 128 + signal.SIGTERM


def test_only_the_first_signal_raises():
    with Signals().caught() as signals:
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert len(signals.received) == 2


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with Signals().caught():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_started_at_knows_this_process_and_no_other():
    assert started_at(os.getpid()) == started_at(os.getpid())
    assert started_at(2**22 + 1) is None
