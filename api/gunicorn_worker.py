"""gunicorn's threaded worker, which shares connections and which a slow client cannot hold up.

Of several processes the one with the fewest connections takes a new one: clients keep theirs, and what comes
in a rush would else be one process's for good, while the others are idle.

After an answer that ends a connection gunicorn waits up to two seconds for the client to close its side, in
the one thread that takes new connections: a hundred streams that end at once would close the door for
minutes. Here the thread that answered waits; the other then finds the connection closed.

After an answer the thread stays with its connection for a moment: a client that asks one thing after another
has its next request there before gunicorn's way back through the other thread is gone.

Of a body that nobody read gunicorn takes 64 KiB and closes the connection, which a client that was refused in
the middle of an upload may just be using for its next request. Here as much is taken as a body may have.
"""

import select
import time
from typing import Any

from gunicorn.util import close_graceful
from gunicorn.workers.gthread import ThreadWorker

GIVE_WAY_S, MOST_COUNTED = 0.0002, 20  # for each connection that is there
REST_OF_BODY_S = 5.0
STAY_MS = 5


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn says no types
    most_unread_bytes: int | None = None  # None: gunicorn's own 64 KiB

    def accept(self, listener: Any) -> None:
        if self.cfg.workers > 1:
            time.sleep(GIVE_WAY_S * max(0, min(self.nr_conns, MOST_COUNTED)))
        super().accept(listener)  # finds nothing there where another was faster

    def _keepalive_after(self, conn: Any, keepalive: Any) -> bool:
        until, most = time.monotonic() + REST_OF_BODY_S, self.most_unread_bytes
        return bool(keepalive and conn.parser.finish_body(deadline=until, max_bytes=most))

    def handle(self, conn: Any) -> Any:
        keep = super().handle(conn)
        while keep is True and self.alive and asks_again(conn.sock):
            keep = super().handle(conn)
        if keep is False:
            close_graceful(conn.sock)
            conn.close = already_closed  # or gunicorn would fail at it, and count it twice
        return keep


def asks_again(sock: Any) -> bool:
    """Whether its client has sent more, or gone, within STAY_MS."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(STAY_MS))


def already_closed(graceful: bool = False) -> None:
    pass
