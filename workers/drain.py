"""The pool child's side of a drain: the parent forwards TERM, the child only takes note of it.

billiard resets signal handlers after the pool's initialiser, except those that are ignored. So the
child ignores the signals from its start, and its handler is put in place when a task begins. A
terminal's hang-up and a TERM to the whole process group come the same way.
"""

import signal
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Drain:
    """Whether this process was told to put its job back and end."""

    def __init__(self) -> None:
        self.requested = False

    def ask(self) -> None:
        self.requested = True

    def listen(self) -> None:
        """Begin a task: forget what came between tasks (the parent repeats itself) and hear what comes."""
        self.requested = False
        for number in SIGNALS:
            signal.signal(number, self._heard)

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True


def ignore_until_a_task_begins() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
