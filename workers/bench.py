"""What a worker process has at hand, wired once from the environment."""

import functools
import importlib
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gpu_ops.memory import keep_freed
from storage.batch_records import FINISH, VALIDATE
from storage.settings import Settings
from storage.stores import Stores, open_stores
from workers.drain import Drain
from workers.guard import Guard
from workers.lease import Phase
from workers.models import Models
from workers.pace import Pace
from workers.presence import worker_name
from workers.queue import Doorbell, Ring
from workers.recipe import AnyRecipe
from workers.retry import Limits


@dataclass(frozen=True)
class Bench:
    """What one process has at hand for all the jobs it runs."""

    stores: Stores
    recipe_for: Callable[[str], AnyRecipe]
    models: Models
    ring: Ring
    worker: str
    draining: Callable[[], bool]
    lease_s: float
    checkpoint_s: float
    limits: Limits
    stall_limits_s: Mapping[Phase, float]
    guard: Guard
    pace: Pace = field(default_factory=Pace)
    heard: Callable[[str, float], str | None] = lambda _queue, _timeout_s: None


@functools.cache
def bench(queue: str, drain: Drain) -> Bench:
    settings = Settings()
    stores, bell = open_stores(settings), Doorbell(settings.redis_url)
    return Bench(
        stores=stores,
        recipe_for=recipe_for,
        models=Models(stores.objects, settings),
        ring=bell.ring,
        heard=bell.heard,
        worker=worker_name(queue, os.getppid()),
        draining=lambda: drain.requested,
        lease_s=settings.lease_s,
        checkpoint_s=settings.checkpoint_s,
        limits=Limits(settings.max_failures, settings.max_outages),
        stall_limits_s=stall_limits_s(settings),
        guard=Guard(),
    )


def stall_limits_s(settings: Settings) -> dict[Phase, float]:
    return {
        Phase.LOADING: settings.stall_loading_s,
        Phase.OPERATING: settings.stall_s,
        Phase.SAVING: settings.stall_s,
    }


def recipe_for(kind: str) -> AnyRecipe:
    """The recipe of a kind. Torch is loaded here, under the claim's lease, where it is needed and not yet."""
    if kind in (VALIDATE, FINISH):
        from workers.bulk.table import RECIPES as OF_BATCHES

        return OF_BATCHES[kind]
    warm()
    from workers.recipes.table import RECIPES

    return RECIPES[kind]


@functools.cache
def _warming() -> threading.Thread:
    # OpenMP threads that wait would spin: where cores are shared, steps then take up to 40 times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Without it cuBLAS's sums have no fixed order.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    keep_freed()
    thread = threading.Thread(target=importlib.import_module, args=("workers.recipes.table",), name="warm")
    thread.start()
    return thread


def warm(*, wait: bool = True) -> None:
    """Load torch and the operations, seconds of work, before the first job needs them."""
    thread = _warming()
    if wait:
        thread.join()
