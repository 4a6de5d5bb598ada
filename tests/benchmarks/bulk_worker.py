"""A worker of batches for the benchmarks: real stores and recipes, or an operation that does nothing.

PYTHONPATH=tests:tests/benchmarks python -m bulk_worker QUEUE [noop]      until its queue is empty
... bare COUNT                                                             so many items without a service
"""

import hashlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from bench_wiring import wired

from gpu_ops.bundle import Bundle
from gpu_ops.many.applying import ApplyTask, Drawing
from gpu_ops.many.events import Finished
from gpu_ops.many.loop import many
from gpu_ops.picture import Picture
from storage.batch_records import CHUNK
from storage.batch_specs import BatchSpec
from storage.records import LOCAL_TENANT, Job
from storage.results import Results
from storage.settings import Settings
from storage.stores import Stores, open_stores
from workers.attempt import Attempt
from workers.bench import Bench, recipe_for
from workers.bulk.chunk import recipe_of
from workers.bulk.operation import Events, Made, Operation
from workers.bulk.pieces import Piece
from workers.recipe import AnyRecipe
from workers.run import take

BARE_WIDTH = 2  # the width that is measured for such items on a CPU
NOTHING = {"nothing.txt": b"nothing"}


class Nothing:
    """The Operation that does nothing: what is left is what an item costs by itself."""

    def digest_of(self, item: Mapping[str, Any], picture: Picture | None) -> str:
        return hashlib.sha256(item["id"].encode()).hexdigest()

    def known(self, picture: Picture) -> None:
        return None

    def run(self, pieces: Iterator[Piece]) -> Events:
        for piece in pieces:
            yield Made(piece.index, piece.digest, lambda: NOTHING)


def nothing_of(_attempt: Attempt, _spec: BatchSpec, _results: Results) -> tuple[Operation, int, str]:
    return Nothing(), 64, "0" * 64


def noop_for(kind: str) -> AnyRecipe:
    return recipe_of(nothing_of) if kind == CHUNK else recipe_for(kind)


def bench_of(stores: Stores, settings: Settings, *, noop: bool = False, name: str = "bench") -> Bench:
    return wired(stores, settings, noop_for if noop else recipe_for, name=name)


def work_off(bench: Bench, *queues: str) -> list[Job]:
    """Take jobs until there are none."""
    done: list[Job] = []
    while True:
        job = next((job for queue in queues for job in take(queue, bench)), None)
        if job is None:
            return done
        done.append(job)


def bare(bench: Bench, count: int) -> int:
    """Draw so many samples, each with its mask, without any service."""
    bundle = _cars(bench)
    code = bundle.generator.mapping.w_avg.expand(1, bundle.generator.num_ws, -1)
    tasks = [ApplyTask(code, None)] * count
    done = many(Drawing(bundle), enumerate(tasks), width=BARE_WIDTH)
    return sum(isinstance(event, Finished) for event in done)


def _cars(bench: Bench) -> Bundle:
    return bench.models.bundle(bench.stores.library.get_model(LOCAL_TENANT, "cars"))


def main() -> None:
    """What is loaded once is loaded before the start is told of."""
    command, *rest = sys.argv[1:]
    settings = Settings()
    bench = bench_of(open_stores(settings), settings, noop="noop" in rest)
    bench.recipe_for(CHUNK)
    if "noop" not in rest:
        bare(bench, BARE_WIDTH)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    done = bare(bench, int(rest[0])) if command == "bare" else len(work_off(bench, command))
    print(f"{done} {time.perf_counter() - began:.3f}", flush=True)


if __name__ == "__main__":
    main()
