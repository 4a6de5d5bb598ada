"""Child processes that end when their parent does, and signals that arrive at any moment.

Every child leads a session of its own, so Ctrl-C at the terminal reaches the parent alone, which then ends
its children in order. A parent that is killed outright takes them along (on Linux: PDEATHSIG).
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum

    @property
    def exit_status(self) -> int:
        return 128 + self.signum


@dataclass
class Signals:
    """Turns INT, TERM and HUP into Interrupted, but never inside `shielded()`: there it waits for the end."""

    received: list[int] = field(default_factory=list)
    _shields: int = 0
    _raised: bool = False

    @contextlib.contextmanager
    def caught(self) -> Iterator["Signals"]:
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self._handle) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def shielded(self) -> Iterator[None]:
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        self._deliver()

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        self.received.append(signum)
        self._deliver()

    def _deliver(self) -> None:
        if self.received and not self._shields and not self._raised:
            self._raised = True
            raise Interrupted(self.received[0])


@dataclass
class Child:
    name: str
    log: Path
    process: subprocess.Popen[bytes]
    log_start: int

    @property
    def running(self) -> bool:
        return not _ended(self.process)

    def output(self) -> str:
        """What this start of the process has written to its log."""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(self.log_start)
            return file.read().decode(errors="replace")
        return ""

    def tail(self, lines: int = 15, width: int = 400) -> str:
        """The last lines of output(), long ones cut."""
        shown = self.output().splitlines()[-lines:]
        return "\n".join(line if len(line) <= width else f"{line[:width]} ..." for line in shown)


def spawn(
    name: str,
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    pass_fds: Sequence[int] = (),
) -> Child:
    """Start a process in a session of its own, its output appended to `log`."""
    parent = os.getpid()

    def die_with_parent() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it ended before prctl could tell
                os._exit(1)

    with log.open("ab") as file:
        log_start = file.tell()
        process = subprocess.Popen(
            list(command),
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
            preexec_fn=die_with_parent,
        )
    return Child(name, log, process, log_start)


def stop(children: Sequence[Child], *, grace_s: float, hurry: Callable[[], bool] = lambda: False) -> None:
    """TERM each child (it tells its own), wait, then kill what is left of its session, and reap it."""
    for child in children:
        if child.running:
            with contextlib.suppress(ProcessLookupError):
                child.process.terminate()
    deadline = time.monotonic() + grace_s
    while any(child.running for child in children) and time.monotonic() < deadline and not hurry():
        time.sleep(0.02)
    for child in children:
        if child.process.returncode is None:  # not reaped: its id still names this session and no other
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended, without reaping it: a zombie keeps its id from being used again."""
    if process.returncode is not None:
        return True
    flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
    try:
        return os.waitid(os.P_PID, process.pid, flags) is not None
    except ChildProcessError:
        return True


def started_at(pid: int) -> str | None:
    """When the process of this id started, as the kernel counts it; None where there is no such process.

    Together with the id it names one process for good, as ids are used again.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


def end_leftover(pid: int, start: str, *, grace_s: float) -> None:
    """End a process of an earlier run, if that very process is still there, with its session."""
    for signum, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        if started_at(pid) != start:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            (os.kill if signum == signal.SIGTERM else os.killpg)(pid, signum)
        deadline = time.monotonic() + wait_s
        while started_at(pid) == start and time.monotonic() < deadline:
            time.sleep(0.05)
