"""gunicorn's threaded worker, which shares connections and which a slow client cannot hold up.

Of several processes the one with the fewest connections takes a new one: clients keep theirs, and what comes
in a rush would else be one process's for good, while the others are idle.

After an answer the thread stays with its connection for a moment: a client that asks one thing after another
has its next request there before gunicorn's way back through the other thread is gone.

After an answer that ends a connection gunicorn waits up to two seconds for the client to close its side, in
the one thread that takes new connections: a hundred streams that end at once would close the door for
minutes. Here the thread that answered waits; the other then finds the connection closed.

Of a body that nobody read gunicorn takes 64 KiB and closes the connection, which a client that was refused in
the middle of an upload may just be using for its next request. Here as much is taken as a body may have.

Who does not move is cut off (api/patience.py).
"""

import ctypes
import multiprocessing
import select
import time
from typing import Any

from gunicorn.util import close_graceful
from gunicorn.workers.gthread import ThreadWorker

from api.patience import STILL_S, Patience, limit_stillness

GIVE_WAY_S, LOOK_EVERY_S = 0.01, 0.0005
REST_OF_BODY_S = 5.0
STAY_MS = 5
SLOTS, ABSENT = 64, -1

_connections = multiprocessing.RawArray(ctypes.c_int, [ABSENT] * SLOTS)  # of each process of this service


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn says no types
    most_unread_bytes: int | None = None  # None: gunicorn's own 64 KiB

    def __init__(self, *args: Any, **members: Any) -> None:
        super().__init__(*args, **members)
        self._patience = Patience(self.cfg.threads)

    def notify(self) -> None:
        """Called each second, and more often."""
        super().notify()
        count, after_s = self._patience.cut_off()
        if count:
            self.log.warning("cut off: %d connections that sent no whole request in %g s", count, after_s)

    @property
    def nr_conns(self) -> int:
        return self._own_connections

    @nr_conns.setter
    def nr_conns(self, count: int) -> None:
        self._own_connections = _connections[self.age % SLOTS] = count

    def accept(self, listener: Any) -> None:
        until = time.monotonic() + GIVE_WAY_S
        while self.nr_conns > min((each for each in _connections if each != ABSENT), default=0):
            time.sleep(LOOK_EVERY_S)
            if time.monotonic() > until or not select.select([listener], [], [], 0)[0]:
                break
        super().accept(listener)  # finds nothing there where another was faster

    def handle_request(self, req: Any, conn: Any) -> Any:
        self._patience.end(conn.sock)
        try:
            return super().handle_request(req, conn)
        except BlockingIOError:
            self.log.warning("cut off: a client that took nothing of its answer for %d s", STILL_S)
            return False

    def _keepalive_after(self, conn: Any, keepalive: Any) -> bool:
        self._patience.begin(conn.sock)
        until, most = time.monotonic() + REST_OF_BODY_S, self.most_unread_bytes
        return bool(keepalive and conn.parser.finish_body(deadline=until, max_bytes=most))

    def handle(self, conn: Any) -> Any:
        if not conn.initialized:
            limit_stillness(conn.sock)
        keep = self._handle_one(conn)
        while keep is True and self.alive and asks_again(conn.sock):
            keep = self._handle_one(conn)
        if keep is False:
            close_graceful(conn.sock)
            conn.close = already_closed  # or gunicorn would fail at it, and count it twice
        return keep

    def _handle_one(self, conn: Any) -> Any:
        self._patience.begin(conn.sock)
        try:
            return super().handle(conn)
        finally:
            self._patience.end(conn.sock)


def asks_again(sock: Any) -> bool:
    """Whether its client has sent more, or gone, within STAY_MS."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(STAY_MS))


def already_closed(graceful: bool = False) -> None:
    pass


def forget_connections(worker: Any) -> None:
    """Of a process that has ended."""
    _connections[worker.age % SLOTS] = ABSENT
