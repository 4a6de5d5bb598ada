"""A receiver of webhooks: a real HTTP server that checks each signature itself and writes down each id."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from on_a_port import POLL_S

SECRET = "whsec_" + base64.b64encode(b"a secret of the chaos tests only").decode()
TOLERANCE_S = 300.0


@dataclass(frozen=True)
class Received:
    id: str
    type: str
    job_id: str
    number: int
    at: float


class Receiver:
    """Open on loopback from its construction on."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.refused: list[str] = []  # why: a bad signature, an old time, a body that is none
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                status = receiver.receive(
                    self.headers, self.rfile.read(int(self.headers.get("Content-Length", 0)))
                )
                self.send_response_only(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), name="receiver", daemon=True
        ).start()

    def receive(self, headers: Any, body: bytes) -> int:
        fault = signature_fault(headers, body)
        if fault is not None:
            self.refused.append(fault)
            return 400
        message = json.loads(body)
        data = message["data"]
        self.received.append(
            Received(
                headers["webhook-id"],
                message["type"].removeprefix("job."),
                data["job_id"],
                data["number"],
                time.time(),
            )
        )
        return 204

    def ids(self, job_id: str) -> Counter[tuple[str, str]]:
        """(webhook-id, type) of what came for a job, and how often."""
        return Counter((call.id, call.type) for call in self.received if call.job_id == job_id)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sender that was killed in the middle of a call."""


def signature_fault(headers: Any, body: bytes) -> str | None:
    """What is wrong with a call, by the text of the Standard Webhooks specification."""
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    message_id, timestamp, given = (headers.get(name) or "" for name in names)
    if not (message_id and timestamp.isdecimal() and given):
        return "a header is missing"
    if abs(time.time() - int(timestamp)) > TOLERANCE_S:
        return "the timestamp is old"
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return None if wanted in given.split() else "the signature is wrong"
