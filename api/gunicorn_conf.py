"""gunicorn's configuration: threads, for most requests end at once and the rest only wait.

WEB_CONCURRENCY (processes) and PORT are the platform's usual names; the command line wins over all.
"""

import os
import socket
from typing import Any

from api.crowd import Crowd
from api.doors import check_doors, check_keys
from api.gunicorn_worker import forget_connections
from api.slots import REQUEST_THREADS, WAITING_THREADS, Slots, places_of, worked_on_of
from storage.meters import forget_process, share_metrics
from storage.settings import Settings
from storage.stores import open_stores

_settings = Settings()
share_metrics(_settings)  # before anything counts, for gunicorn's processes are forked from this one
bind = f"{_settings.host}:{os.environ.get('PORT') or _settings.port}"
worker_class = "api.gunicorn_worker.Worker"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = REQUEST_THREADS + WAITING_THREADS  # started as they are needed
graceful_timeout = 10
keepalive = 75  # longer than any client's pause between two looks, or it would meet a connection just closed
control_socket_disable = True  # it would be one file for every service of this user
proc_name = "editq-api"
logger_class = "api.gunicorn_log.Logger"
_shared: list[socket.socket] = []  # where /metrics is asked for: by whichever process is faster


def on_starting(_server: Any) -> None:
    if _settings.metrics_port is not None:
        from storage.metrics_server import listen  # not before share_metrics

        _shared.append(listen(_settings))


def when_ready(server: Any) -> None:
    """Once the sockets are there and before anybody is answered. Raises NotOpened."""
    check_doors(_settings, [listener.sock.getsockname() for listener in server.LISTENERS])
    check_keys(_settings, open_stores(_settings).keys)


def post_worker_init(worker: Any) -> None:
    """Streams and long polls have places of their own; all of them end when the process is to end."""
    service = worker.wsgi.extensions["editq"]
    service.slots = Slots(places_of(worker.cfg.threads))
    worker.wsgi.wsgi_app.crowd = Crowd(worked_on_of(worker.cfg.threads))
    service.stopping = lambda: not worker.alive
    worker.most_unread_bytes = _settings.max_body_bytes
    for listener in _shared:
        from storage.metrics_server import serve
        from storage.scrape import Rows

        serve(listener, _settings, [Rows(service.stores)])


def child_exit(_server: Any, worker: Any) -> None:
    forget_process(worker.pid)
    forget_connections(worker)
