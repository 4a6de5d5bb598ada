"""A worker's Bench in the benchmark's own process, with no doorbell and with the recipes it is given."""

import os
from collections.abc import Callable

from storage.settings import Settings
from storage.stores import Stores
from workers.bench import Bench, recipe_for, stall_limits_s
from workers.guard import Guard
from workers.models import Models
from workers.recipe import AnyRecipe
from workers.retry import Limits


def wired(
    stores: Stores,
    settings: Settings,
    recipes: Callable[[str], AnyRecipe] = recipe_for,
    *,
    name: str = "bench",
) -> Bench:
    return Bench(
        stores=stores,
        recipe_for=recipes,
        models=Models(stores.objects, settings),
        ring=lambda _queue, _job_id: None,
        worker=f"{name}:{os.getpid()}:gpu",
        draining=lambda: False,
        lease_s=settings.lease_s,
        checkpoint_s=settings.checkpoint_s,
        limits=Limits(settings.max_failures, settings.max_outages),
        stall_limits_s=stall_limits_s(settings),
        guard=Guard(),
    )
