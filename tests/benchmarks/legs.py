"""Where the time of one `apply` goes, leg by leg, and how often each leg goes to the database.

    PYTHONPATH=.:tests python -m benchmarks --only legs [--short]

The same code as in the service, in one process, so that every leg can be timed by itself: SQLite, files and a
Valkey of its own. Round trips are the statements that the database gets, BEGIN and COMMIT not among them; the
heartbeat's and the events' are those of the leg they fall into.
"""

import contextlib
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import servers
from sqlalchemy import Engine, event

import gpu_ops
from api.app import create_app
from benchmarks.bench_wiring import wired
from benchmarks.measuring import Figure, of_runs
from storage.migrate import migrate
from storage.records import GPU_QUEUE, LOCAL_TENANT
from storage.settings import Settings
from storage.stores import Stores, open_stores
from workers.bench import Bench
from workers.queue import Doorbell
from workers.recipe import AnyRecipe, Recipe
from workers.release import release
from workers.run import take

PRETRAINED = Path(gpu_ops.__file__).parent / "pretrained"
LEGS = ("accept", "row", "ring", "claim", "load", "operate", "save", "end", "notify")


class Legs:
    """Seconds and statements by leg, of one job at a time; nested legs count for themselves alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.trips: dict[str, list[int]] = defaultdict(list)
        self._statements = 0
        self._inner: list[list[float]] = []
        event.listen(Engine, "before_cursor_execute", self._count)

    def _count(self, *_: Any) -> None:
        self._statements += 1

    @contextlib.contextmanager
    def leg(self, name: str) -> Iterator[None]:
        began, before = time.perf_counter(), self._statements
        self._inner.append([0.0, 0])
        try:
            yield
        finally:
            seconds, trips = time.perf_counter() - began, self._statements - before
            inner_s, inner_trips = self._inner.pop()
            self.seconds[name].append(seconds - inner_s)
            self.trips[name].append(int(trips - inner_trips))
            if self._inner:
                self._inner[-1][0] += seconds
                self._inner[-1][1] += trips


class Timed:
    """Another object, some of whose calls are legs."""

    def __init__(self, inner: Any, legs: Legs, **names: str) -> None:
        self._inner, self._legs, self._names = inner, legs, names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._names:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._legs.leg(self._names[name]):
                return found(*args, **kwargs)

        return call


def timed_recipe(recipe: AnyRecipe, legs: Legs) -> AnyRecipe:
    def load(attempt: Any) -> Any:
        with legs.leg("load"):
            return recipe.load(attempt)

    def operate(loaded: Any, resume: Any) -> Any:
        with legs.leg("operate"):
            return (yield from recipe.operate(loaded, resume))

    def save(attempt: Any, loaded: Any, result: Any) -> Any:
        with legs.leg("save"):
            return recipe.save(attempt, loaded, result)

    return Recipe(load, operate, save)


@contextlib.contextmanager
def place() -> Iterator[tuple[Stores, Settings]]:
    with (
        tempfile.TemporaryDirectory(prefix="editq-bench-") as folder,
        servers.redis_server(Path(folder), servers.valkey_binary()) as (url, _),
    ):
        os.environ |= {"EDITQ_DATA_DIR": folder, "EDITQ_REDIS_URL": url, "EDITQ_DEVICE": "cpu"}
        settings = Settings()
        migrate(settings.database_url)
        release(settings, PRETRAINED)
        yield open_stores(settings), settings


def measured(*, short: bool) -> list[Figure]:
    legs, runs = Legs(), 6 if short else 60
    totals: list[float] = []
    with place() as (stores, settings):
        vector = next(v for v in stores.library.list_vectors(LOCAL_TENANT).items if v.name == "larger wheels")
        doorbell = Doorbell(settings.redis_url)
        jobs = Timed(stores.jobs, legs, add="row", claim="claim", succeed="end")

        def ring(queue: str, job_id: str) -> None:
            with legs.leg("ring"):
                doorbell.ring(queue, job_id)

        watched = replace(stores, jobs=jobs, progress=Timed(stores.progress, legs, publish="notify"))
        bench = _bench(watched, settings, legs)
        http = create_app(settings, watched, ring).test_client()
        for index in range(runs + 2):
            spec = {"kind": "apply", "model": "cars", "seed": 5000 + index}
            began = time.perf_counter()
            with legs.leg("accept"):
                answer = http.post("/v1/jobs", json={**spec, "vectors": [{"vector": vector.id}]})
            assert answer.status_code == 202, answer.text
            with legs.leg("rest"):
                (job,) = take(GPU_QUEUE, bench)
            assert job.status == "succeeded", job.error
            totals.append(time.perf_counter() - began)
    return _figures(legs, totals, runs)


def _bench(stores: Stores, settings: Settings, legs: Legs) -> Bench:
    bench = wired(stores, settings)
    return replace(bench, recipe_for=lambda kind: timed_recipe(bench.recipe_for(kind), legs))


def _figures(legs: Legs, totals: list[float], runs: int) -> list[Figure]:
    figures = [of_runs("apply in one process, all legs", [t * 1000 for t in totals[2:]], "ms")]
    trips = 0
    for name in (*LEGS, "rest"):
        per_job = len(legs.seconds[name]) // len(totals)  # messages go out several times in a job
        if per_job == 0:
            continue
        seconds = [sum(legs.seconds[name][n * per_job : (n + 1) * per_job]) for n in range(len(totals))]
        counted = [sum(legs.trips[name][n * per_job : (n + 1) * per_job]) for n in range(len(totals))]
        trips += max(counted[2:])
        figures.append(of_runs(f"leg {name}", [s * 1000 for s in seconds[2:]], "ms"))
        figures.append(of_runs(f"leg {name}: database round trips", counted[2:], "per job"))
    return [*figures, Figure("database round trips of a job", trips, "per job")]
