"""gunicorn's threaded worker, which a client that is slow to close its connection cannot hold up.

After an answer that ends a connection gunicorn waits up to two seconds for the client to close its side, in
the one thread that takes new connections: a hundred streams that end at once would close the door for
minutes. Here the thread that answered waits; the other then finds the connection closed.
"""

from typing import Any

from gunicorn.util import close_graceful
from gunicorn.workers.gthread import ThreadWorker


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn says no types
    def handle(self, conn: Any) -> Any:
        keep = super().handle(conn)
        if keep is False:
            close_graceful(conn.sock)
        return keep
