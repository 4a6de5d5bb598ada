"""gunicorn's threaded worker, with four habits of its own.

Of several processes the one with the fewest connections takes a new one: clients keep theirs, and what comes
in a rush would else be one process's for good, while the others are idle.

A thread stays with its connection for a moment after an answer: the next request is then read where the last
one was, without a way through the thread that watches connections. A whole answer of known length leaves in
one piece. And a client that is slow to close its connection holds nobody up: after an answer that ends a
connection gunicorn waits up to two seconds for the client to close its side, in the one thread that takes new
connections, so that a hundred streams that end at once would close the door for minutes. Here the thread that
answered waits; the other then finds the connection closed.
"""

import select
import time
from threading import BoundedSemaphore
from typing import Any

from gunicorn.http import wsgi
from gunicorn.util import close_graceful
from gunicorn.workers.gthread import ThreadWorker

STAYING = 8  # threads, of those for requests: the others are there for new connections
STAY_MS = 5
GIVE_WAY_S, MOST_COUNTED = 0.0002, 20  # for each connection that is there


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn says no types
    _places = BoundedSemaphore(STAYING)

    def accept(self, listener: Any) -> None:
        if self.cfg.workers > 1:
            time.sleep(GIVE_WAY_S * min(self.nr_conns, MOST_COUNTED))
        super().accept(listener)  # finds nothing there where another was faster

    def handle(self, conn: Any) -> Any:
        keep = super().handle(conn)
        while keep is True and self._asks_again(conn):
            keep = super().handle(conn)
        if keep is False:
            close_graceful(conn.sock)
            conn.close = _closed
        return keep

    def _asks_again(self, conn: Any) -> bool:
        """Whether more comes on this connection within a moment."""
        if not self.alive or not self._places.acquire(blocking=False):
            return False
        try:
            poll = select.poll()
            poll.register(conn.sock, select.POLLIN)
            return bool(poll.poll(STAY_MS))
        finally:
            self._places.release()


def _closed(graceful: bool = False) -> None:
    """What gunicorn calls after: on a socket that is closed it would fail, and count the connection twice."""


class Answer(wsgi.Response):  # type: ignore[misc]
    def write(self, arg: bytes) -> None:
        if self.headers_sent or self._omits_body or self.response_length != len(arg):
            super().write(arg)
            return
        head = self.default_headers() + [f"{name}: {value}\r\n" for name, value in self.headers]
        self.sock.sendall("".join([*head, "\r\n"]).encode("latin-1") + arg)
        self.headers_sent: bool = True
        self.sent = len(arg)


wsgi.Response = Answer  # what wsgi.create makes where it is not told of another
