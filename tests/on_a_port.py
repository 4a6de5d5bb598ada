"""An app on a real port of loopback, in threads of the test's own."""

import contextlib
import threading
from collections.abc import Iterator

from flask import Flask
from werkzeug.serving import make_server

POLL_S = 0.05  # werkzeug's own half a second is what each test would end with


@contextlib.contextmanager
def on_a_port(app: Flask) -> Iterator[str]:
    """Its address, until the block ends."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
