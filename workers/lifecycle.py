"""What happens beside the tasks: hooks on Celery's signals, in the parent and in its pool child."""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from celery.signals import (
    celeryd_after_setup,
    celeryd_init,
    setup_logging,
    worker_process_init,
    worker_ready,
    worker_shutting_down,
)

from storage.log import configure_logging, writes_json
from storage.metrics_server import listen, serve
from storage.records import CPU_QUEUE, GPU_QUEUE
from storage.scrape import Rows
from storage.stores import Stores, open_stores
from storage.tracing import configure_tracing
from workers import drain
from workers.bench import warm
from workers.celery_app import settings
from workers.children import Children
from workers.device_meters import devices
from workers.housekeeping import Housekeeper
from workers.intake import Intake
from workers.presence import Presence, worker_name
from workers.queue import Doorbell

FORWARD_EVERY_S = 0.5
WARM_AFTER_S = 2.0
log = logging.getLogger(__name__)
_shutting_down = threading.Event()


@setup_logging.connect  # type: ignore[untyped-decorator]
def logs_as_we_do(**_: Any) -> None:
    """Celery then leaves logging alone, in the parent and in its child."""
    configure_logging(settings)


@celeryd_init.connect  # type: ignore[untyped-decorator]
def says_no_banner(instance: Any, **_: Any) -> None:
    """Which is no line of JSON."""
    instance.quiet = instance.quiet or writes_json(settings)


@celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def children_are_quiet_until_they_are_set_up(**_: Any) -> None:
    """What Celery leaves there has a child say that it begins, in a form of its own."""
    os.environ.pop("_MP_FORK_LOGLEVEL_", None)


@worker_process_init.connect  # type: ignore[untyped-decorator]
def child_began(sender: str, **_: Any) -> None:
    """`sender` is the node's name, which begins with its queue."""
    configure_tracing(settings, "editq-worker")
    drain.ignore_until_a_task_begins()
    if sender.startswith(GPU_QUEUE):
        # Not at once: a job that waits is claimed seconds sooner when nothing else is imported meanwhile.
        warming = threading.Timer(WARM_AFTER_S, warm, kwargs={"wait": False})
        warming.daemon = True
        warming.start()


@worker_ready.connect  # type: ignore[untyped-decorator]
def parent_ready(sender: Any, **_: Any) -> None:
    """Start the parent's threads. `sender` is the consumer."""
    stores = open_stores(settings)
    bell = Doorbell(settings.redis_url)
    queues = sorted(sender.app.amqp.queues.consume_from)
    _start("forward-shutdown", _forward_shutdown, sender.pool)
    for queue in queues:
        worker = worker_name(queue, os.getpid())
        _start(f"children-{queue}", Children(sender.pool, worker, stores.jobs, bell.ring, settings).run)
        _start(f"intake-{queue}", Intake(sender, queue, worker, stores.jobs, settings).run, _shutting_down)
        _start(f"presence-{queue}", Presence(queue, stores.progress, settings).run, _shutting_down)
    if CPU_QUEUE in queues:
        keeper = Housekeeper(stores, bell, settings)
        _start("housekeeping", keeper.run, _shutting_down)
    if settings.metrics_port is not None:
        _serve_metrics(stores, queues)


def _serve_metrics(stores: Stores, queues: list[str]) -> None:
    rows = [Rows(stores)] if CPU_QUEUE in queues else []
    try:
        serve(listen(settings), settings, [*rows, *devices()])
    except OSError as error:
        log.error("no metrics are served at port %s: %s", settings.metrics_port, error)


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def parent_told_to_end(**_: Any) -> None:
    """Runs inside the parent's signal handler: only a flag is set here."""
    _shutting_down.set()


def _forward_shutdown(pool: Any) -> None:
    """Tell the pool children of a shutdown, until this process has ended.

    Celery waits for the running task and never tells it. Told again and again, since a child hears it
    only from when its task has begun.
    """
    _shutting_down.wait()
    while True:
        with contextlib.suppress(AttributeError, KeyError, ProcessLookupError):  # the pool has gone
            for pid in pool.info["processes"]:
                os.kill(pid, signal.SIGTERM)
        time.sleep(FORWARD_EVERY_S)


def _start(name: str, target: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=target, args=arguments, name=name, daemon=True).start()
