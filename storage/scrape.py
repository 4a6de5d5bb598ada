"""What a scrape reads of the rows and of the parts, whichever process is asked: so none must exist once."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from storage.errors import EditqError
from storage.records import CPU_QUEUE, GPU_QUEUE, Standing, Status
from storage.stores import Stores
from storage.usage import DAY_S
from storage.version import code_version

T = TypeVar("T")
Values = dict[tuple[str, ...], float]
KEPT_S = 5.0
MOST_TENANTS = 10


class Rows(Collector):
    """Read at most every few seconds, and never for more than a twentieth of the time: a long queue takes
    longer to count."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._lock = threading.Lock()
        self._until = 0.0
        self._kept: list[Metric] = []

    def describe(self) -> Iterable[Metric]:
        return ()  # nothing is read at the start

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            if (began := time.monotonic()) >= self._until:
                self._kept = list(self._read())
                took_s = time.monotonic() - began
                self._until = began + max(KEPT_S, 20 * took_s)
            kept = self._kept
        yield from kept

    def _read(self) -> Iterator[Metric]:
        yield _gauge("editq_build", "Which editq this is.", ("version",), {(code_version(),): 1})
        standing = _try(self._stores.jobs.standing)
        objects = _try(self._objects)
        board = self._stores.progress.check()
        parts = {"database": standing is not None, "objects": bool(objects), "board": board}
        yield _gauge(
            "editq_part_up",
            "Whether a part answered.",
            ("part",),
            {(part,): up for part, up in parts.items()},
        )
        if board:
            yield self._workers()
        if standing is not None:
            yield from _queues(standing)
            yield from self._tenants()

    def _objects(self) -> bool:
        self._stores.objects.check()
        return True

    def _workers(self) -> Metric:
        counts: Values = {(GPU_QUEUE,): 0, (CPU_QUEUE,): 0}
        for worker in self._stores.progress.workers():
            queue = (str(worker.get("queue")),)
            counts[queue] = counts.get(queue, 0) + 1
        return _gauge("editq_workers", "Workers that the board hears of.", ("queue",), counts)

    def _tenants(self) -> Iterator[Metric]:
        today = int(time.time() // DAY_S)
        used: Values = {}
        for use in _try(lambda: self._stores.jobs.usage(None, since_day=today)) or ():
            used[use.tenant_id,] = used.get((use.tenant_id,), 0.0) + use.gpu_s
        most = sorted(used.items(), key=lambda item: item[1], reverse=True)[:MOST_TENANTS]
        yield _gauge(
            "editq_tenant_gpu_seconds_today",
            f"GPU seconds since midnight (UTC) of the {MOST_TENANTS} tenants that used most.",
            ("tenant",),
            dict(most),
        )


def _queues(standing: tuple[Standing, ...]) -> Iterator[Metric]:
    jobs: Values = {(each.queue, each.kind, each.status.value): each.jobs for each in standing}
    eligible: Values = {(GPU_QUEUE,): 0, (CPU_QUEUE,): 0}
    longest: Values = dict(eligible)
    for each in standing:
        if each.status is Status.QUEUED:
            place: tuple[str, ...] = (each.queue,)
            eligible[place] = eligible.get(place, 0) + each.eligible
            longest[place] = max(longest.get(place, 0), each.longest_wait_s)
    labels = ("queue", "kind", "status")
    yield _gauge("editq_queue_jobs", "Jobs that wait (queued) or run (running).", labels, jobs)
    yield _gauge("editq_queue_eligible_jobs", "Waiting jobs that could be taken now.", ("queue",), eligible)
    yield _gauge(
        "editq_queue_oldest_seconds",
        "For how long the one that has waited longest could have been taken.",
        ("queue",),
        longest,
    )


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Values) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for place, value in values.items():
        family.add_metric(place, float(value))
    return family


def _try(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except EditqError:
        return None
