"""Servers on a real port of loopback, in threads of the test's own."""

import contextlib
import threading
from collections.abc import Iterator
from socketserver import BaseServer

from flask import Flask
from werkzeug.serving import make_server

POLL_S = 0.02  # the standard library's half a second is what each test would end with


@contextlib.contextmanager
def on_a_port(app: Flask) -> Iterator[str]:
    """The app's address, until the block ends."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}"


@contextlib.contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """It answers until the block ends."""
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
