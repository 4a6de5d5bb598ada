"""A receiver of webhooks: a real HTTP server that writes down each call, and answers as badly as told to."""

import contextlib
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from on_a_port import serving

SECRET = "whsec_ZWRpdHEgZWRpdHEgZWRpdHEgZWRpdHEgZWRpdHE="
LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True)
class Call:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    server: "Server"

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = receiver.hear(Call(self.path, headers, body))
        with contextlib.suppress(OSError):  # the caller has hung up
            answer(self)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 100
    receiver: "Receiver"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@dataclass
class Receiver:
    """`answers` are given in turn, the last one from then on."""

    url: str
    answers: list[Answer]
    calls: list[Call] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hear(self, call: Call) -> Answer:
        with self._lock:
            self.calls.append(call)
            return self.answers[min(len(self.calls), len(self.answers)) - 1]

    @property
    def ids(self) -> Counter[str]:
        with self._lock:
            return Counter(call.id for call in self.calls)


@contextlib.contextmanager
def receiving(*answers: Answer, trust: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Listens on loopback until the block ends; with `trust` over TLS."""
    server = Server(("127.0.0.1", 0), Handler)
    if trust is not None:
        server.socket = trust.wrap_socket(server.socket, server_side=True)
    scheme = "http" if trust is None else "https"
    server.receiver = Receiver(f"{scheme}://127.0.0.1:{server.server_port}", list(answers) or [says(204)])
    with serving(server):
        try:
            yield server.receiver
        finally:
            server.receiver.closing.set()


def says(status: int, **headers: str) -> Answer:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def writes(data: bytes) -> Answer:
    """This, and then the connection is closed."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(data)
        handler.close_connection = True

    return answer


def hangs(handler: Handler) -> None:
    handler.server.receiver.closing.wait(60)
    handler.close_connection = True


def drips(beginning: bytes, drop: bytes = b"x", *, every_s: float = 0.02) -> Answer:
    """This, and then a little more for as long as anybody listens: no single read waits for long."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(beginning)
        while not handler.server.receiver.closing.wait(every_s):
            handler.wfile.write(drop)
            handler.wfile.flush()

    return answer


def until(happened: Callable[[], Any], *, within_s: float = 30.0) -> Any:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := happened():
            return found
        time.sleep(0.01)
    raise AssertionError(f"it did not happen within {within_s:.0f} s")
