"""Three times what the service can take, for five minutes: the refused are told so, the others served.

    PYTHONPATH=.:tests python -m benchmarks.overload [--short] [--seconds 300] [--times 3]

PostgreSQL with fsync on, Valkey, files, and `web`, `gpu`, `cpu` as the Procfile starts them, with keys and
with the bundled model. First the capacity, without limits: requests a second (half submits of real jobs, half
reads), jobs a second. Then limits as an operator would set them (as many jobs may wait as are done in a
minute), and so many times the requests, by clients that heed no Retry-After. Fails where something was
answered by anything but success, 429 or 503, where one of these had no Retry-After, where a job that was
taken did not succeed, a read took too long, or the API's memory grew. In short, times are not judged.
"""

import argparse
import contextlib
import itertools
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import servers

from benchmarks.measuring import Figure, machine, percentile
from benchmarks.offering import Ask, Told, offered
from storage.key_records import Scope
from storage.limit_records import Limit
from storage.records import Status
from storage.settings import Settings
from storage.stores import Stores, open_stores

ROOT = Path(__file__).parents[2]
TENANTS = ("ada", "bo", "cy", "di")
BACKLOG_S, SHORT_BACKLOG_S = 60.0, 10.0  # so much work may wait
LIMITS_KNOWN_S = 6.0  # an API process reads limits again after five
READ_P95_S = 0.5
GROWTH_BYTES = 100 << 20
DRAIN_S = 900.0
SUBMIT = b'{"kind": "sample", "model": "cars", "count": 1, "seed": 1}'


@dataclass
class Course:
    """What was answered, and what was taken."""

    told: list[Told] = field(default_factory=list)
    jobs: dict[str, list[str]] = field(default_factory=lambda: {tenant: [] for tenant in TENANTS})

    def hear(self, told: Told) -> None:
        self.told.append(told)
        if told.status == 202:
            self.jobs[told.ask.tenant].append(str(told.json()["id"]))


def asks(keys: dict[str, str], course: Course) -> Iterator[Ask]:
    """By the tenants in turn: a submit, then a read of a job's state, each tenth time of the list."""
    dice = random.Random(8)
    for number in itertools.count():
        for tenant, key in keys.items():
            yield Ask("submit", tenant, key, "POST", "/v1/jobs", SUBMIT)
        for tenant, key in keys.items():
            known = course.jobs[tenant]
            if known and number % 10:
                yield Ask("read", tenant, key, "GET", f"/v1/jobs/{dice.choice(known)}")
            else:
                yield Ask("list", tenant, key, "GET", "/v1/jobs?limit=20")


@contextlib.contextmanager
def service() -> Iterator[tuple[Stores, str, int]]:
    """The stores, the address, and the id of the API's first process."""
    with (
        tempfile.TemporaryDirectory(prefix="editq-bench-") as folder,
        servers.redis_server(Path(folder), servers.valkey_binary()) as (url, _),
        servers.postgres_cluster(fsync="on") as database,
    ):
        port = str(servers.free_port())
        os.environ |= {
            "EDITQ_DATA_DIR": folder,
            "EDITQ_REDIS_URL": url,
            "EDITQ_DATABASE_URL": database,
            "EDITQ_KEYS_REQUIRED": "true",
            "EDITQ_PORT": port,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        stores = open_stores(Settings())
        commands = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
        subprocess.run(commands["release"], shell=True, check=True, stderr=subprocess.DEVNULL)
        address = f"http://127.0.0.1:{port}"
        stores.keys.create(TENANTS[0], "opens the service", Scope.READ)
        with (
            started(commands["web"], Path(folder) / "web.log") as web,
            started(commands["gpu"], Path(folder) / "gpu.log"),
            started(commands["cpu"], Path(folder) / "cpu.log"),
        ):
            until(lambda: httpx.get(f"{address}/readyz", trust_env=False).is_success, "an API that is ready")
            yield stores, address, web.pid


@contextlib.contextmanager
def started(command: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen(["/bin/sh", "-c", f"exec {command}"], cwd=ROOT, stdout=file, stderr=file)
    try:
        yield process
        assert process.poll() is None, log.read_text()[-3000:]
    finally:
        process.terminate()
        process.wait(60)


def until(happened: Any, what: str, within_s: float = 120.0) -> None:
    deadline = time.monotonic() + within_s
    while True:
        with contextlib.suppress(httpx.TransportError):
            if happened():
                return
        assert time.monotonic() < deadline, f"{what}: not within {within_s:.0f} s"
        time.sleep(0.2)


def limited(stores: Stores, name: Limit, value: float | None) -> None:
    for tenant in TENANTS:
        stores.limits.set(tenant, name, value)


def not_ended(stores: Stores, course: Course) -> int:
    """Of the jobs that were taken."""
    return sum(
        not stores.jobs.get(tenant, job).status.ended for tenant, jobs in course.jobs.items() for job in jobs
    )


def capacity(
    stores: Stores, address: str, keys: dict[str, str], seconds: float
) -> tuple[float, float, Course]:
    """(requests a second, jobs a second while nobody asks, what was asked meanwhile)."""
    limited(stores, Limit.REQUESTS_PER_S, 0)
    limited(stores, Limit.JOBS_WAITING, 0)
    course = Course()
    offered(address, asks(keys, course), seconds=3, per_s=20, told=course.hear)  # warm
    until(lambda: not_ended(stores, course) == 0, "the first jobs' ends")
    measured = Course()
    count = offered(address, asks(keys, measured), seconds=seconds, per_s=None, told=measured.hear)
    wrong = Counter(told.status for told in measured.told if not 200 <= told.status < 300)
    assert not wrong, f"below its capacity the service answered {wrong}"
    before, began = not_ended(stores, measured), time.monotonic()
    time.sleep(seconds)
    jobs_per_s = (before - not_ended(stores, measured)) / (time.monotonic() - began)
    return count / seconds, max(jobs_per_s, 0.1), measured


class Memory:
    """What the API's processes hold together (shared pages once), looked at every second."""

    def __init__(self, pid: int) -> None:
        self.most_bytes = self.first_bytes = held_bytes(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(pid,))

    def _watch(self, pid: int) -> None:
        while not self._over.wait(1.0):
            self.most_bytes = max(self.most_bytes, held_bytes(pid))

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def held_bytes(pid: int) -> int:
    """PSS of a process and of all below it."""
    held = 0
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        held = next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        for task in Path(f"/proc/{pid}/task").iterdir():
            held += sum(held_bytes(int(child)) for child in (task / "children").read_text().split())
    return held


def judged(course: Course) -> list[str]:
    """What is wrong with the answers: nothing, or a line each."""
    wrong = Counter(
        (told.ask.what, told.status, told.body[:80] if not told.status else b"")
        for told in course.told
        if not 200 <= told.status < 300 and told.status not in (429, 503)
    )
    silent = [told for told in course.told if told.status in (429, 503) and "retry-after" not in told.headers]
    faults = [f"{count} of {what}: {status} {text!r}" for (what, status, text), count in wrong.items()]
    return [*faults, *([f"{len(silent)} without Retry-After"] if silent else [])]


def times(course: Course, *names: str) -> list[float]:
    return [told.seconds for told in course.told if told.ask.what in names and 200 <= told.status < 300]


def figures(course: Course, rate: float, jobs_per_s: float, per_s: float, memory: Memory) -> list[Figure]:
    by_end = Counter((told.ask.what == "submit", _end(told)) for told in course.told)
    refused = [told.seconds for told in course.told if told.status in (429, 503)]
    found = [
        Figure("capacity: requests, half submits, half reads", rate, "per second"),
        Figure("capacity: jobs", jobs_per_s, "per second"),
        Figure("offered", per_s, "per second"),
        Figure("answered", len(course.told), "requests"),
    ]
    for (submit, end), count in sorted(by_end.items()):
        found.append(Figure(f"{'submits' if submit else 'reads'}: {end}", count, "requests"))
    for name, seconds in (
        ("accepted reads", times(course, "read", "list")),
        ("accepted submits", times(course, "submit")),
        ("refusals", refused),
    ):
        if seconds:
            found.append(Figure(f"{name}: median", statistics.median(seconds) * 1000, "ms"))
            found.append(Figure(f"{name}: p95", percentile(seconds, 0.95) * 1000, "ms"))
            found.append(Figure(f"{name}: longest", max(seconds) * 1000, "ms"))
    grown = (memory.most_bytes - memory.first_bytes) / (1 << 20)
    return [*found, Figure("memory of the API: growth", grown, "MiB", memory.first_bytes / (1 << 20))]


def _end(told: Told) -> str:
    if 200 <= told.status < 300:
        return "accepted"
    return f"{told.status} {told.json()['code']}" if told.status else "no answer"


def measured(*, short: bool, seconds: float | None = None, factor: float = 3.0) -> list[Figure]:
    """Raises AssertionError where a bar is missed."""
    seconds = seconds or (8.0 if short else 300.0)
    with service() as (stores, address, pid):
        keys = {name: stores.keys.create(name, "asks", Scope.SUBMIT)[1].text for name in TENANTS}
        rate, jobs_per_s, first = capacity(stores, address, keys, 4 if short else 8)
        limited(stores, Limit.REQUESTS_PER_S, None)  # as the service has it by default
        waiting = jobs_per_s * (SHORT_BACKLOG_S if short else BACKLOG_S)
        limited(stores, Limit.JOBS_WAITING, max(5, round(waiting / len(TENANTS))))
        time.sleep(LIMITS_KNOWN_S)
        course = Course()
        with Memory(pid) as memory:
            offered(address, asks(keys, course), seconds=seconds, per_s=factor * rate, told=course.hear)
        found = figures(course, rate, jobs_per_s, factor * rate, memory)
        for figure in found:
            print(f"{figure.name:50} {figure.value:10.1f} {figure.unit}", flush=True)
        began = time.monotonic()
        for each in (first, course):
            until(lambda each=each: not_ended(stores, each) == 0, "all jobs' ends", DRAIN_S)
        ends = ended(stores, first) + ended(stores, course)
        found.append(Figure("jobs taken that succeeded", ends[Status.SUCCEEDED], "jobs"))
        found.append(Figure("until the last of them had", time.monotonic() - began, "s"))
    faults = judged(course)
    assert not faults, "; ".join(faults)
    assert set(ends) <= {Status.SUCCEEDED}, ends
    reads = times(course, "read", "list")
    assert reads, "no read was let in"
    assert short or percentile(reads, 0.95) < READ_P95_S, "accepted reads took too long"
    assert memory.most_bytes - memory.first_bytes < GROWTH_BYTES, "the API's memory grew"
    return found


def ended(stores: Stores, course: Course) -> Counter[Status]:
    return Counter(
        stores.jobs.get(tenant, job).status for tenant, jobs in course.jobs.items() for job in jobs
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--times", type=float, default=3.0)
    asked = parser.parse_args()
    print(machine())
    for figure in measured(short=asked.short, seconds=asked.seconds, factor=asked.times)[-2:]:
        print(f"{figure.name:50} {figure.value:10.1f} {figure.unit}")
    print(machine())


if __name__ == "__main__":
    main()
