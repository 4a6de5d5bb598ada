"""For how long a thread of the API waits for a client that does not move. Who is late is cut off.

gunicorn waits without end for the rest of a head, or for a client that takes nothing of its answer: as many
such connections as there are threads keep everybody else out. Bodies and answers are worked on, so that no
time in all is right for them; a head, and the rest of a body that was refused, are not.
"""

import contextlib
import select
import socket
import struct
import time

WHOLE_S, CROWDED_WHOLE_S = 10.0, 2.0  # the second where most threads wait
STILL_S = 20  # without a byte in or out; of a body, that is tried twice


class Patience:
    """The connections of which a thread waits for what is no request yet. Safe for threads."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._since: dict[socket.socket, float] = {}

    def begin(self, connection: socket.socket) -> None:
        self._since[connection] = time.monotonic()

    def end(self, connection: socket.socket) -> None:
        """May be called more than once."""
        self._since.pop(connection, None)

    def cut_off(self) -> tuple[int, float]:
        """End those that are late and silent: how many, and after how many seconds."""
        patience_s = CROWDED_WHOLE_S if 2 * len(self._since) > self._threads else WHOLE_S
        until = time.monotonic() - patience_s
        late = [each for each, since in list(self._since.items()) if since < until and _silent(each)]
        for connection in late:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # the thread that reads finds the end
        return len(late), patience_s


def limit_stillness(connection: socket.socket) -> None:
    """A read or a write ends with BlockingIOError where nothing has moved for STILL_S.

    Not by `settimeout`: with that, also a look that must not wait would.
    """
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", STILL_S, 0))


def _silent(connection: socket.socket) -> bool:
    """Whether nothing is there to read: who has sent something waits for this process, not the reverse."""
    poll = select.poll()
    try:
        poll.register(connection, select.POLLIN)
    except ValueError:  # closed in the meantime
        return False
    return not poll.poll(0)
