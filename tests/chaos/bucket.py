"""An HTTP proxy before an S3 server, with the faults of object stores: errors, slowness, resets."""

import contextlib
import http.client
import random
import re
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from on_a_port import POLL_S

PART = re.compile(r"[?&]partNumber=(\d+)")
HALF = 1 << 20  # so much of a part is read before its connection is reset


class Trouble:
    """What is wrong at the moment. A share of the requests meets it, chosen by the seed."""

    def __init__(self) -> None:
        self.rng = random.Random(0)
        self.calm()

    def calm(self) -> None:
        self.errors = 0.0  # share of requests answered 500 or 503
        self.slow_s = 0.0  # longest delay of an answer
        self.reset_part: int | None = None  # this part of a multipart upload is cut off
        self.resets = 0  # so often
        self.met = 0


class BucketProxy:
    def __init__(self, endpoint: str, *, host: str = "127.0.0.1") -> None:
        self.trouble = Trouble()
        self._away = False
        trouble, upstream = self.trouble, urlsplit(endpoint).netloc

        class Handler(_Handler):
            def setup(self) -> None:
                super().setup()
                self.trouble, self.upstream = trouble, upstream

        self._server = _Server((host, 0), Handler)
        self.endpoint = f"http://{host}:{self._server.server_port}"
        threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), name="bucket", daemon=True
        ).start()

    def outage(self, away: bool = True) -> None:
        self._server.away = away

    def calm(self) -> None:
        self.trouble.calm()
        self.outage(False)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    away = False

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.away:
            _reset(request)
            return
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client or a server that went away is what this is about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    trouble: Trouble
    upstream: str

    def handle_one_request(self) -> None:
        super().handle_one_request()
        self.close_connection = self.close_connection or self.server.away  # type: ignore[attr-defined]

    def _pass(self) -> None:
        trouble = self.trouble
        if self.server.away or self._is_the_part_to_reset():  # type: ignore[attr-defined]
            _reset(self.connection)
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(trouble.rng.uniform(0, trouble.slow_s))
        if trouble.rng.random() < trouble.errors:
            trouble.met += 1
            self._answer(trouble.rng.choice([500, 503]), {}, b"<Error><Code>InternalError</Code></Error>")
            return
        upstream = http.client.HTTPConnection(self.upstream, timeout=60)
        with contextlib.closing(upstream):
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection"):
                    upstream.putheader(name, value)
            upstream.endheaders(body)
            answer = upstream.getresponse()
            self._answer(answer.status, dict(answer.headers), answer.read())

    def _is_the_part_to_reset(self) -> bool:
        part = PART.search(self.path)
        if self.command != "PUT" or part is None or int(part[1]) != self.trouble.reset_part:
            return False
        if self.trouble.resets <= 0:
            return False
        self.trouble.resets -= 1
        self.trouble.met += 1
        self.rfile.read(min(HALF, int(self.headers["Content-Length"])))
        return True

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        length = headers.get("Content-Length") if self.command == "HEAD" else None
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
