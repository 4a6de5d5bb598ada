"""gunicorn's threaded worker, with three habits of its own.

A thread stays with its connection for a moment after an answer: the next request is then read where the last
one was, without a way through the thread that watches connections. A whole answer of known length leaves in
one piece. And a client that is slow to close its connection holds nobody up: after an answer that ends a
connection gunicorn waits up to two seconds for the client to close its side, in the one thread that takes new
connections, so that a hundred streams that end at once would close the door for minutes. Here the thread that
answered waits; the other then finds the connection closed.
"""

import select
from threading import BoundedSemaphore
from typing import Any

from gunicorn.http import wsgi
from gunicorn.util import close_graceful
from gunicorn.workers.gthread import ThreadWorker

STAYING = 8  # threads, of those for requests: the others are there for new connections
STAY_MS = 5


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn says no types
    _places = BoundedSemaphore(STAYING)

    def handle(self, conn: Any) -> Any:
        keep = super().handle(conn)
        while keep is True and self._asks_again(conn):
            keep = super().handle(conn)
        if keep is False:
            close_graceful(conn.sock)
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


class Answer(wsgi.Response):  # type: ignore[misc]
    def write(self, arg: bytes) -> None:
        if self.headers_sent or self._omits_body or self.response_length != len(arg):
            super().write(arg)
            return
        head = self.default_headers() + [f"{name}: {value}\r\n" for name, value in self.headers]
        self.sock.sendall("".join([*head, "\r\n"]).encode("latin-1") + arg)
        self.headers_sent, self.sent = True, len(arg)


wsgi.Response = Answer  # what wsgi.create makes where it is not told of another
