"""What a process gives up before it looks at a file that may be hostile. Standard library only.

Memory, time and written bytes are limited by the kernel. The network is left behind with the namespace, where
the system permits that. And the interpreter itself refuses, from then on, to open a file or a socket, to
start a process, to import, to compile: everything that Python reports to audit hooks.
"""

import ctypes
import resource
import sys

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000


class NotAllowed(BaseException):
    """No Exception: nothing here may catch it and go on."""


def limit(memory_bytes: int, cpu_s: int, written_bytes: int) -> None:
    """Limits of the kernel's. Memory is address space, mapped files included."""
    limit_all(memory_bytes, written_bytes)
    _set(resource.RLIMIT_CPU, cpu_s)


def limit_all(memory_bytes: int, written_bytes: int) -> None:
    """The same without a limit of computing, for a process that reads one file after another."""
    for kind, amount in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, written_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        _set(kind, amount)


def _set(kind: int, amount: int) -> None:
    _, hard = resource.getrlimit(kind)
    amount = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
    resource.setrlimit(kind, (amount, amount))


def leave_network() -> bool:
    """Move into a network namespace without interfaces. False where the system does not permit it."""
    try:
        unshare = ctypes.CDLL(None, use_errno=True).unshare
    except (AttributeError, OSError):
        return False
    # an unprivileged process may do so within a user namespace of its own, root without
    return any(unshare(flags) == 0 for flags in (_CLONE_NEWUSER | _CLONE_NEWNET, _CLONE_NEWNET))


def refuse_everything(but: frozenset[str] = frozenset({"builtins.id"})) -> None:
    """From here on, whatever Python reports to audit hooks, but these events, ends the reading of a file."""

    def hook(event: str, _: object) -> None:
        if event not in but:
            raise NotAllowed(event)

    sys.addaudithook(hook)  # a hook cannot be taken away again
