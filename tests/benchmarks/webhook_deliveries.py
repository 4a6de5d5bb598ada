"""How many webhooks one housekeeping worker delivers per second, over SQLite and PostgreSQL.

    PYTHONPATH=tests:tests/integration python tests/benchmarks/webhook_deliveries.py [N]

The receiver is a process of its own on this machine, answers 204 at once, and is one host: of the calls that
a worker makes at once, one host gets few (workers/webhooks.py). What is timed: from the start of the worker,
with N deliveries due, until the last row says delivered.
"""

import contextlib
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

import servers
from sqlalchemy import func, select
from webhook_receiver import LOOPBACK, SECRET, receiving

from storage.database import Database
from storage.jobs import SqlJobs
from storage.migrate import migrate
from storage.outbox import SqlOutbox
from storage.settings import Settings
from storage.specs import JobOptions, Webhook
from storage.tables import DELIVERIES
from workers.webhooks import Deliveries


def receive(urls: Any, ended: Any) -> None:
    with receiving() as receiver:
        urls.put(receiver.url)
        ended.wait()


@contextlib.contextmanager
def receiver_process() -> Iterator[str]:
    spawn = multiprocessing.get_context("spawn")
    urls, ended = spawn.Queue(), spawn.Event()
    process = spawn.Process(target=receive, args=(urls, ended))
    process.start()
    try:
        yield urls.get(timeout=30)
    finally:
        ended.set()
        process.join()


def seconds_to_deliver(database_url: str, receiver_url: str, count: int) -> float:
    migrate(database_url)
    database = Database(database_url)
    jobs, options = SqlJobs(database), JobOptions(webhook=Webhook(url=receiver_url))
    for _ in range(count):
        jobs.request_cancel("local", jobs.add("local", "edit", {}, options=options).id)
    settings = Settings(webhook_secret=SECRET, webhook_networks=LOOPBACK)
    ended, began = threading.Event(), time.monotonic()
    worker = threading.Thread(target=Deliveries(SqlOutbox(database), settings).run, args=(ended,))
    worker.start()
    left = select(func.count()).select_from(DELIVERIES).where(DELIVERIES.c.status != "delivered")
    while True:
        with database.read() as connection:
            if not connection.execute(left).scalar_one():
                break
        time.sleep(0.1)
    took_s = time.monotonic() - began
    ended.set()
    worker.join()
    database.close()
    return took_s


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory() as folder, servers.postgres_cluster() as postgres:
        for name, url in (("SQLite", f"sqlite:///{folder}/editq.db"), ("PostgreSQL", postgres)):
            with receiver_process() as receiver:
                took_s = seconds_to_deliver(url, receiver, count)
            print(f"{name}: N={count} delivered in {took_s:.1f} s: {count / took_s:.0f} per second")


if __name__ == "__main__":
    main()
