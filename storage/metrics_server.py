"""/metrics on a port of its own: on loopback unless the operator says otherwise, off where none is named."""

import ipaddress
import logging
import os
import socket
import threading
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import REGISTRY, Collector

from storage.meters import FOLDER
from storage.settings import Settings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

SLOWEST_S = 15.0
log = logging.getLogger(__name__)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        log.debug("a scrape was not heard to its end", exc_info=True)


class _Handler(WSGIRequestHandler):
    timeout = SLOWEST_S

    def log_message(self, *_: Any) -> None:
        """A scrape every few seconds is nothing to tell."""


def listen(settings: Settings) -> socket.socket:
    """A listening socket, which forked processes may share. Raises OSError, ValueError without a port."""
    if settings.metrics_port is None:
        raise ValueError("no EDITQ_METRICS_PORT")
    family = socket.AF_INET6 if ":" in settings.metrics_host else socket.AF_INET
    listener = socket.create_server((settings.metrics_host, settings.metrics_port), family=family, backlog=16)
    listener.setblocking(False)  # another process may have been faster
    return listener


def serve(listener: socket.socket, settings: Settings, collectors: Iterable[Collector]) -> None:
    """From a thread of this process, until it ends."""
    address = listener.getsockname()
    server = _Server(address[:2], _Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_name, server.server_port = str(address[0]), int(address[1])
    server.setup_environ()
    server.set_app(_guarded(make_wsgi_app(_registry(collectors)), settings))
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def _registry(collectors: Iterable[Collector]) -> CollectorRegistry:
    registry = CollectorRegistry()
    if os.environ.get(FOLDER):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(REGISTRY)
    for collector in collectors:
        registry.register(collector)
    return registry


def _guarded(metrics: Any, settings: Settings) -> Any:
    """/metrics alone, and for nobody who came by a name that is not this machine's (DNS rebinding)."""
    allowed = frozenset(name.strip("[]").lower() for name in settings.allowed_hosts)

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not _known(environ.get("HTTP_HOST", ""), allowed) or "HTTP_ORIGIN" in environ:
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"Not under that name.\n"]
        if environ.get("PATH_INFO") != "/metrics" or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"Only GET /metrics.\n"]
        answer: Iterable[bytes] = metrics(environ, start_response)
        return answer

    return app


def _known(host: str, allowed: frozenset[str]) -> bool:
    """An address, or a name that the operator gave: a page's own name would be neither."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in allowed or "*" in allowed
    return True
