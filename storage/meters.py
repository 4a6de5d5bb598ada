"""What every process counts and measures, in Prometheus' words. docs/monitoring.md says what each one means.

A service has several processes (gunicorn's workers, a Celery parent and its child): they write into files of
one folder, and whoever is scraped reads them all (`share_metrics`). So nothing here may be touched before a
process has called that; the library is loaded with the first measurement, where nobody else has loaded it.
"""

import atexit
import functools
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from storage.errors import EditqError, Unavailable
from storage.records import Count, Job, Status

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

    from storage.settings import Settings

T = TypeVar("T")
log = logging.getLogger(__name__)
_first = threading.Lock()
FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the library's own name, so that an operator may choose the folder
OPERATIONS = {
    "database": ("read", "write"),
    "objects": ("put", "get", "get_range", "exists", "delete", "check"),
    "broker": ("ring", "length"),
    "board": ("message",),
}
SHORT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
LONG_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400, 43200)


@dataclass(frozen=True)
class Meters:
    http_requests: "Counter"
    http_request_seconds: "Histogram"
    part_seconds: "Histogram"
    part_failures: "Counter"
    jobs_added: "Counter"
    jobs_ended: "Counter"
    job_wait_seconds: "Histogram"
    attempt_seconds: "Histogram"
    requeues: "Counter"
    leases_lost: "Counter"
    steps: "Counter"
    gpu_seconds: "Counter"
    gpu_allocated: "Gauge"
    housekeeping_passes: "Counter"


@functools.cache
def meters() -> Meters:
    with _first:  # a process's first requests come together, and the library takes no name twice
        return _begun()


@functools.cache
def _begun() -> Meters:
    """Those that are few say 0 from the beginning: a rise from nothing would be seen by no alert."""
    made = _made()
    for part, operations in OPERATIONS.items():
        for operation in operations:
            made.part_failures.labels(part, operation)
    for count in Count:
        made.requeues.labels(count.value)
    for outcome in ("done", "failed"):
        made.housekeeping_passes.labels(outcome)
    return made


def _made() -> Meters:
    from prometheus_client import Counter, Gauge, Histogram

    return Meters(
        http_requests=Counter("editq_http_requests", "Requests answered.", ("route", "method", "status")),
        http_request_seconds=Histogram(
            "editq_http_request_seconds",
            "From a request to its answer; streams and requests that asked to wait are left out.",
            ("route", "method"),
            buckets=SHORT_S,
        ),
        part_seconds=Histogram(
            "editq_part_seconds",
            "One use of a part: a transaction of the database, a call of the object store, a ring of the "
            "broker, a word with the board.",
            ("part", "operation"),
            buckets=SHORT_S,
        ),
        part_failures=Counter(
            "editq_part_failures", "Uses of a part that failed because it was away.", ("part", "operation")
        ),
        jobs_added=Counter("editq_jobs_added", "Jobs that came into a queue, new.", ("queue", "kind")),
        jobs_ended=Counter(
            "editq_jobs_ended", "Jobs that ended; code: of a failed one's error.", ("kind", "status", "code")
        ),
        job_wait_seconds=Histogram(
            "editq_job_wait_seconds",
            "How long a job could have been taken before an attempt took it.",
            ("queue", "kind"),
            buckets=LONG_S,
        ),
        attempt_seconds=Histogram(
            "editq_attempt_seconds",
            "From a claim to the end of its attempt; end: the job's status, or what it was put back for.",
            ("queue", "kind", "end"),
            buckets=LONG_S,
        ),
        requeues=Counter("editq_requeues", "Jobs put back, by what that counts as.", ("count",)),
        leases_lost=Counter("editq_leases_lost", "Attempts that found their job no longer theirs."),
        steps=Counter("editq_steps", "Steps of operations.", ("kind",)),
        gpu_seconds=Counter("editq_gpu_seconds", "How long ended attempts held a GPU worker.", ("kind",)),
        gpu_allocated=Gauge(
            "editq_gpu_allocated_bytes",
            "Memory of the device that a worker's process holds.",
            ("device", "state"),
            multiprocess_mode="liveall",
        ),
        housekeeping_passes=Counter(
            "editq_housekeeping_passes", "Passes of housekeeping that this worker took.", ("outcome",)
        ),
    )


def share_metrics(settings: "Settings") -> None:
    """What a service's first process does first: its children find the folder in the environment."""
    if settings.metrics_port is None or os.environ.get(FOLDER):
        return
    if _begun.cache_info().currsize:
        log.warning("the metrics of this process alone are told: they were asked for too late")
        return
    folder = os.environ[FOLDER] = tempfile.mkdtemp(prefix="editq-metrics-")
    maker = os.getpid()
    library: Any = sys.modules.get("prometheus_client.values")
    if library:  # by a plugin of Celery's command, Flower: it decided where to count when it was loaded
        library.ValueClass = library.get_value_class()

    def remove() -> None:
        if os.getpid() == maker:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)


def forget_process(pid: int) -> None:
    """What a dead process of the service said of its present state no longer holds; what it counted does."""
    if os.environ.get(FOLDER):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


@contextmanager
def observed(part: str, operation: str) -> Iterator[None]:
    """One use of a part of the platform, also as a decorator."""
    began = time.perf_counter()
    try:
        yield
    except Exception as error:
        if not isinstance(error, EditqError) or isinstance(error, Unavailable):
            _of(part, operation)[1].inc()
        raise
    finally:
        _of(part, operation)[0].observe(time.perf_counter() - began)


@functools.cache
def _of(part: str, operation: str) -> "tuple[Histogram, Counter]":
    """Looked up once: a transaction may be shorter than the search."""
    return meters().part_seconds.labels(part, operation), meters().part_failures.labels(part, operation)


def measured(part: str, thing: T) -> T:
    """The same thing, each of the part's operations observed."""
    for name in OPERATIONS[part]:
        setattr(thing, name, observed(part, name)(getattr(thing, name)))
    return thing


def count_added(job: Job) -> None:
    meters().jobs_added.labels(job.queue, job.kind).inc()


def count_claim(job: Job) -> None:
    """Of a row as the claim left it."""
    waited_s = max(0.0, job.updated_at - job.not_before)
    meters().job_wait_seconds.labels(job.queue, job.kind).observe(waited_s)


def count_change(before: Job, after: Job) -> None:
    """What a change of a row was, once it is committed."""
    if after.status is before.status:
        return
    if after.status.ended:
        code = (after.error or {}).get("code", "")
        meters().jobs_ended.labels(after.kind, after.status.value, code).inc()
    if before.status is not Status.RUNNING:
        return
    counted = next((count for count in Count if getattr(after, count) > getattr(before, count)), None)
    if before.claimed_at is not None:
        end = counted or after.status
        seconds = max(0.0, after.updated_at - before.claimed_at)
        meters().attempt_seconds.labels(after.queue, after.kind, end.value).observe(seconds)
    if after.status is Status.QUEUED and counted is not None:
        meters().requeues.labels(counted.value).inc()
    meters().gpu_seconds.labels(after.kind).inc(max(0.0, after.gpu_s - before.gpu_s))
