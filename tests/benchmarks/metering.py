"""What being watched costs: one use of a part measured, one step counted, 100,000 waiting rows read.

PYTHONPATH=. python tests/benchmarks/metering.py
"""

import os
import tempfile
import time
from collections.abc import Callable
from statistics import median

os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp()  # as a service's processes count

from sqlalchemy import insert

from storage.database import Database
from storage.jobs import SqlJobs
from storage.meters import meters, observed
from storage.migrate import migrate
from storage.new_jobs import job_values
from storage.records import Priority
from storage.tables import JOBS

ROWS = 100_000


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """Of one, the median of five runs."""
    runs = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(times):
            work()
        runs.append((time.perf_counter() - began) / times)
    return median(runs)


def long_queue(folder: str) -> SqlJobs:
    url = f"sqlite:///{folder}/editq.db"
    migrate(url)
    database, now = Database(url), time.time()
    kinds = ("edit", "sample", "apply")
    rows = [
        job_values(now, "local", kinds[number % 3], {}, queue="gpu", priority=Priority.STANDARD)  # type: ignore[arg-type]
        for number in range(ROWS)
    ]
    with database.write() as connection:
        connection.execute(insert(JOBS), rows)
    return SqlJobs(database)


def one_use() -> None:
    with observed("database", "read"):
        pass


if __name__ == "__main__":
    print(f"one use measured: {1e6 * seconds(one_use, 20_000):.1f} us")
    print(f"one step counted: {1e6 * seconds(meters().steps.labels('edit').inc, 20_000):.1f} us")
    with tempfile.TemporaryDirectory() as folder:
        print(f"{ROWS} rows read: {seconds(long_queue(folder).standing):.2f} s")
