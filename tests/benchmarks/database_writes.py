"""What the database is asked by a running job: a renewal, a checkpoint, a claim with its end.

    PYTHONPATH=tests OMP_NUM_THREADS=1 python tests/benchmarks/database_writes.py 500

Prints milliseconds (median, 95th percentile) of each write, one after another, over PostgreSQL (without
fsync) and SQLite; and, over PostgreSQL, the processor time of its own processes for each.
"""

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import servers

from storage.database import Database
from storage.jobs import SqlJobs
from storage.migrate import migrate
from storage.objects import checkpoint_key
from storage.records import ObjectRef

WAITING = 500


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report("SQLite", f"sqlite:///{folder}/editq.db", count)
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    with servers.postgres_cluster() as url:
        writes = report("PostgreSQL", url, count)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    print(f"PostgreSQL's processes, start and filling included: {cpu_s / writes * 1e3:.2f} ms of CPU a write")


def report(name: str, url: str, count: int) -> int:
    """How many writes there were."""
    migrate(url)
    with opened(url) as jobs:
        for _ in range(WAITING):
            jobs.add("local", "sample", {"kind": "sample"})
        claim = jobs.claim("gpu", "w:1:gpu", lease_s=600)
        assert claim is not None
        key = checkpoint_key("local", claim.job.id, 1, 7)
        checkpoint = ObjectRef(key, "a" * 64, 1, "application/octet-stream")
        show(name, "renewal", timed(count, lambda: jobs.renew(claim, lease_s=600)))
        show(name, "checkpoint's pointer", timed(count, lambda: jobs.checkpointed(claim, checkpoint)))
        show(name, "claim and success", timed(count, lambda: one_job(jobs)))
    return WAITING + 4 * count


def one_job(jobs: SqlJobs) -> None:
    claim = jobs.claim("gpu", "w:2:gpu", lease_s=60)
    assert claim is not None
    jobs.succeed(claim, {}, {})


def timed(count: int, write: Callable[[], object]) -> list[float]:
    took = []
    for _ in range(count):
        began = time.perf_counter()
        write()
        took.append((time.perf_counter() - began) * 1e3)
    return took


def show(name: str, what: str, took: list[float]) -> None:
    late = statistics.quantiles(took, n=20)[-1]
    print(
        f"{name}: {what}: {statistics.median(took):.2f} ms, 95 %: {late:.2f} ms (N {len(took)})", flush=True
    )


@contextmanager
def opened(url: str) -> Iterator[SqlJobs]:
    database = Database(url)
    try:
        yield SqlJobs(database)
    finally:
        database.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
