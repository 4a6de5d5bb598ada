"""The Celery application of benchmarks/queueing.py: tasks that do nothing, and jobs of next to nothing.

celery -A benchmarks.noop_worker worker --pool prefork --concurrency 1, configured as the service's own is.
What a run took is written to EDITQ_BENCH_OUT as soon as as many tasks as EDITQ_BENCH_COUNT says were done.
"""

import functools
import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from benchmarks.bench_wiring import wired
from storage.objects import file_key
from storage.records import GPU_QUEUE, LOCAL_TENANT, ObjectRef
from storage.settings import Settings
from storage.stores import open_stores
from workers.attempt import Attempt, Saved
from workers.bench import Bench
from workers.celery_app import app
from workers.recipe import Recipe
from workers.run import take

INPUT = b"an input of a job that does nothing"
COUNT = int(os.environ.get("EDITQ_BENCH_COUNT", "0"))
took: list[float] = []


def input_ref(stores: Any) -> ObjectRef:
    ref: ObjectRef = stores.objects.put(file_key(LOCAL_TENANT, "0" * 64), INPUT, "text/plain")
    return ref


@functools.cache
def bench() -> Bench:
    settings = Settings()
    stores = open_stores(settings)
    ref = input_ref(stores)

    def load(_attempt: Attempt) -> bytes:
        return stores.objects.get(ref)

    def operate(loaded: bytes, _resume: Any) -> Generator[Any, Any, bytes]:
        return loaded
        yield

    def save(attempt: Attempt, _loaded: bytes, result: bytes) -> Saved:
        attempt.put("nothing.txt", result, "text/plain")
        return Saved(attempt.outputs, {})

    return wired(stores, settings, lambda _kind: Recipe(load, operate, save))


def note() -> None:
    took.append(time.perf_counter())
    if len(took) == COUNT:
        Path(os.environ["EDITQ_BENCH_OUT"]).write_text(f"{took[-1] - took[0]}")


@app.task(name="benchmarks.nothing")
def nothing() -> None:
    note()


@app.task(name="benchmarks.job")
def job() -> None:
    for _ in take(GPU_QUEUE, bench()):  # a ring for what went with an earlier one finds nothing
        note()
