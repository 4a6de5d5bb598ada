"""What the queue itself costs: jobs that do nothing over bare Celery, and a long queue over an empty one.

    PYTHONPATH=.:tests python -m benchmarks.queueing [--short] [--count 10000] [--submits RUNS]

PostgreSQL with synchronous_commit and fsync on, files, and Valkey as the broker of both. Jobs and messages
lie there before the worker starts; the time is from the end of the first task, or job, to the last one's.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import servers
from celery import Celery

from api.app import create_app
from benchmarks.asking import AT_A_RATE, asked, most
from benchmarks.measuring import Figure, in_turn, of_runs, percentile, processor_time, share_stolen
from storage.library_records import Model, Part
from storage.migrate import migrate
from storage.records import GPU_QUEUE, LOCAL_TENANT, SYSTEM_TENANT, ObjectRef, Status, new_id
from storage.settings import Settings
from storage.stores import Stores, open_stores
from workers.queue import Doorbell

SPEC = {"model": "cars", "seed": 0, "count": 1, "truncation_psi": 0.7}
BARE, JOB = "benchmarks.nothing", "benchmarks.job"
WAIT_S = 1200.0


@contextmanager
def place() -> Iterator[tuple[Stores, Settings]]:
    with (
        tempfile.TemporaryDirectory(prefix="editq-bench-") as folder,
        servers.redis_server(Path(folder), servers.valkey_binary()) as (url, _),
        servers.postgres_cluster(fsync="on") as database,
    ):
        os.environ |= {"EDITQ_DATA_DIR": folder, "EDITQ_REDIS_URL": url, "EDITQ_DATABASE_URL": database}
        settings = Settings()
        migrate(settings.database_url)
        stores = open_stores(settings)
        weights = ObjectRef("system/models/cars/d/generator", "a" * 64, 3, "application/octet-stream")
        parts = (Part(0, "sky", (0, 0, 255)),)
        model = Model(
            new_id(), SYSTEM_TENANT, "cars", "d" * 64, 16, parts, {}, {"generator": weights}, {}, 0.0
        )
        stores.library.put_model(model)
        yield stores, settings


def throughput(task: str, count: int, settings: Settings) -> float:
    """Tasks a second through one worker of one process."""
    with Celery("bench", broker=settings.redis_url, set_as_current=False) as sender:
        for _ in range(count):
            sender.send_task(task, queue=GPU_QUEUE, retry=False)
    out = Path(settings.data_dir) / f"took-{time.time_ns()}"
    env = {**os.environ, "EDITQ_BENCH_COUNT": str(count), "EDITQ_BENCH_OUT": str(out), "OMP_NUM_THREADS": "1"}
    command = (sys.executable, "-m", "celery", "-A", "benchmarks.noop_worker", "worker", "-Q", GPU_QUEUE)
    options = ("--pool", "prefork", "--concurrency", "1", "--hostname", "bench@%h", "--loglevel", "ERROR")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    worker = subprocess.Popen([*command, *options], env=env, **quiet)
    try:
        until = time.monotonic() + WAIT_S
        while not (out.exists() and out.read_text()):
            assert worker.poll() is None, "the worker ended"
            assert time.monotonic() < until, f"{task}: not done in time"
            time.sleep(0.2)
        return (count - 1) / float(out.read_text())
    finally:
        worker.terminate()
        worker.wait(60)


def no_ops(stores: Stores, settings: Settings, count: int) -> list[Figure]:
    bare = throughput(BARE, count, settings)
    for _ in range(count):
        stores.jobs.add(LOCAL_TENANT, "sample", SPEC)
    jobs = throughput(JOB, count, settings)
    ended = stores.jobs.list(LOCAL_TENANT, status=Status.SUCCEEDED, limit=1).items
    assert ended, "jobs that did nothing did not succeed"
    return [Figure(f"{count} jobs that do nothing, over bare Celery", jobs, "per second", bare, jobs / bare)]


@contextmanager
def api() -> Iterator[str]:
    """The API as the Procfile starts it, beside PostgreSQL and Valkey; no worker."""
    port = servers.free_port()
    command = (sys.executable, "-m", "gunicorn", "-c", "python:api.gunicorn_conf", "api.wsgi:app")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env={**os.environ, "PORT": str(port)}, **quiet)
    try:
        until = time.monotonic() + 60
        while True:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            assert process.poll() is None, "the API ended"
            assert time.monotonic() < until, "the API did not start in time"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def submits(stores: Stores, settings: Settings, seconds: float, runs: int = 1) -> list[Figure]:
    """A hundred a second, with jobs of next to nothing; each that was accepted is a row and a ring."""
    before = stores.jobs.eligible(GPU_QUEUE)
    rung = Doorbell(settings.redis_url).waiting(GPU_QUEUE)
    body = json.dumps({"kind": "sample", "model": "cars"}).encode()
    rates, p50, p95, stolen, sent = [], [], [], [], 0
    for _ in range(runs):
        with api() as address:
            _, warm = asked(address, "POST", "/v1/jobs", seconds=1, body=body, per_s=20, status=202)
            spent = processor_time()
            rate, times = asked(
                address, "POST", "/v1/jobs", seconds=seconds, body=body, per_s=100, clients=16, status=202
            )
        stolen.append(100 * share_stolen(spent))
        sent += len(warm) + len(times)
        rates.append(rate)
        p50.append(1000 * percentile(times, 0.5))
        p95.append(1000 * percentile(times, 0.95))
    lost = before + sent - stores.jobs.eligible(GPU_QUEUE)
    unrung = (rung or 0) + sent - (Doorbell(settings.redis_url).waiting(GPU_QUEUE) or 0)
    name = f"submits at 100 a second, {AT_A_RATE}"
    return [
        of_runs(f"{name}: rate reached", rates, "per second"),
        of_runs(f"{name}: p50", p50, "ms"),
        of_runs(f"{name}: p95", p95, "ms"),
        of_runs(f"{name}: processor time that the host gave to others meanwhile", stolen, "%"),
        Figure("submits lost, of all", lost, "jobs", sent),
        Figure("submits whose ring was lost, of all", unrung, "rings", sent),
    ]


def reads(stores: Stores, seconds: float, runs: int = 5) -> list[Figure]:
    """Of the state of a job that has ended, and of one that waits, whose place in the queue is counted."""
    ended, waiting = (stores.jobs.add(LOCAL_TENANT, "sample", SPEC).id for _ in range(2))
    stores.jobs.request_cancel(LOCAL_TENANT, ended)
    found = []
    with api() as address:
        for job, state in ((ended, "has ended"), (waiting, "waits")):
            path, name = f"/v1/jobs/{job}", f"status reads, a job that {state}"
            asked(address, "GET", path, seconds=2)  # warm
            asked_most = [most(address, path, seconds=seconds) for _ in range(runs)]
            at_a_rate = [asked(address, "GET", path, seconds=seconds, per_s=200)[1] for _ in range(runs)]
            p95_ms = [1000 * percentile(times, 0.95) for times in at_a_rate]
            rates, by = [rate for rate, _ in asked_most], asked_most[0][1]
            found.append(of_runs(f"{name}, {by}", rates, "per second"))
            found.append(of_runs(f"{name}, at 200 a second, {AT_A_RATE}: p95", p95_ms, "ms"))
    return found


def long_queue(waiting: int, times: int = 200) -> list[Figure]:
    """Submits and claims with next to nothing in the queue, and in turn with them, in another database, with
    so many jobs waiting; both with statistics, which autovacuum renews within a minute. The queue has grown
    under its connections: their first plans were for an empty one."""
    with place() as short, place() as long:
        calls = (_submit(*short), _submit(*long), _claim(short[0]), _claim(long[0]))
        ways = dict(zip(("submit", "submit long", "claim", "claim long"), calls, strict=True))
        in_turn(ways, 20)
        for _ in range(waiting):
            long[0].jobs.add(LOCAL_TENANT, "sample", SPEC)
        for _, settings in (short, long):
            database = settings.database_url.replace("+psycopg", "")
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute("ANALYZE")
        taken = {name: [1000 * s for s in each.wall] for name, each in in_turn(ways, times).items()}
    name = f"with {waiting} jobs waiting, over next to none"
    return [
        _of_medians(f"submit {name}", taken["submit long"], taken["submit"]),
        _of_medians(f"claim {name}", taken["claim long"], taken["claim"]),
    ]


def _of_medians(name: str, runs: list[float], baseline: list[float]) -> Figure:
    mine, theirs = statistics.median(runs), statistics.median(baseline)
    return Figure(name, mine, "ms", theirs, mine / theirs, (percentile(runs, 0.05), percentile(runs, 0.95)))


def _submit(stores: Stores, settings: Settings) -> Callable[[], None]:
    http = create_app(settings, stores, lambda _queue, _job: None).test_client()

    def submit() -> None:
        answer = http.post("/v1/jobs", json={"kind": "sample", "model": "cars"})
        assert answer.status_code == 202, answer.text

    return submit


def _claim(stores: Stores) -> Callable[[], None]:
    def claim() -> None:
        assert stores.jobs.claim(GPU_QUEUE, "bench:1:gpu", lease_s=600)

    return claim


def measured(*, short: bool, count: int | None = None) -> Iterator[Figure]:
    count = count or (200 if short else 10_000)
    with place() as (stores, settings):
        yield from submits(stores, settings, 5 if short else 60)
    with place() as (stores, settings):
        yield from reads(stores, 2 if short else 4)
    with place() as (stores, settings):
        yield from no_ops(stores, settings, count)
    yield from long_queue(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--count", type=int)
    parser.add_argument("--submits", type=int, metavar="RUNS", help="submits alone: so many runs of a minute")
    asked = parser.parse_args()
    if asked.submits:
        with place() as (stores, settings):
            figures = iter(submits(stores, settings, 60, asked.submits))
    else:
        figures = measured(short=asked.short, count=asked.count)
    for figure in figures:
        print(figure.name, figure.value, figure.unit, figure.baseline, figure.ratio, figure.spread)


if __name__ == "__main__":
    main()
