"""bubblewrap around a process that reads hostile files, where the system has it and lets it work.

Inside there are a few folders to read, Python's and the code's, and nothing else: no network, no other
process, no data. Standard library only.
"""

import functools
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives")
_PROBE_S = 10.0


def wrapped(command: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """The command, within bubblewrap where that works. `folders` are those it needs beside Python's own."""
    program = _program()
    return [*_prefix(program, folders), *command] if program else list(command)


def _prefix(program: str, folders: Sequence[Path]) -> list[str]:
    python = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent}
    bound = [*_SYSTEM, *sorted({str(folder) for folder in (*python, *folders)})]
    return [
        *(program, "--unshare-all", "--cap-drop", "ALL", "--dev", "/dev", "--chdir", "/"),
        *(word for path in bound for word in ("--ro-bind-try", path, path)),
        "--",
    ]


def signal_of(returncode: int) -> int | None:
    """The signal that ended a process, which bubblewrap tells of as a shell does; None for any other end."""
    if returncode < 0:
        return -returncode
    return returncode - 128 if 128 < returncode <= 128 + signal.SIGRTMAX else None


@functools.cache
def _program() -> str | None:
    """Where bubblewrap is; None where it is not, or where the system does not permit what it does."""
    program = shutil.which("bwrap")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [*_prefix(program, ()), sys.executable, "-I", "-S", "-c", ""],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PROBE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return program if done.returncode == 0 else None
