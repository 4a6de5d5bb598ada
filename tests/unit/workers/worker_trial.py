"""A worker over the in-memory stores, in this process."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from storage.records import Job, Priority
from storage.settings import Settings
from storage.specs import JobOptions
from storage.stores import Stores
from workers.bench import Bench, stall_limits_s
from workers.drain import Drain
from workers.guard import Guard
from workers.models import Models
from workers.pace import Pace
from workers.recipe import AnyRecipe
from workers.retry import Limits
from workers.run import take

SPEC = {"kind": "sample", "model": "cars", "seed": 0, "count": 1, "truncation_psi": 0.7}


class Spared(Guard):
    """Ends nothing: this process has other tests to run."""

    def __init__(self) -> None:
        self.ends = 0
        self.armed_s: float | None = None

    def end(self) -> None:
        self.ends += 1

    def arm(self, after_s: float) -> None:
        self.armed_s = after_s

    def disarm(self) -> None:
        self.armed_s = None


@dataclass
class Trial:
    """One worker, one queue, one recipe."""

    stores: Stores
    settings: Settings
    drain: Drain = field(default_factory=Drain)
    guard: Spared = field(default_factory=Spared)
    rings: list[tuple[str, str]] = field(default_factory=list)

    def use(self, **stores: Any) -> None:
        """Other stores than those at hand, by name."""
        self.stores = dataclasses.replace(self.stores, **stores)

    def submit(self, priority: Priority = Priority.STANDARD) -> Job:
        return self.stores.jobs.add("local", "sample", SPEC, options=JobOptions(priority=priority))

    def get(self, job: Job) -> Job:
        return self.stores.jobs.get("local", job.id)

    def take(
        self,
        recipe: AnyRecipe | Callable[[str], AnyRecipe],
        *,
        lease_s: float = 5.0,
        checkpoint_s: float = 60.0,
        queue: str = "gpu",
        pace: Pace | None = None,
    ) -> Job | None:
        """recipe: for whatever kind is claimed, or which one has each kind."""
        recipe_for: Callable[[str], AnyRecipe] = lambda kind: recipe  # noqa: E731
        if callable(recipe):
            recipe_for = recipe
        bench = Bench(
            stores=self.stores,
            recipe_for=recipe_for,
            models=Models(self.stores.objects, self.settings),
            ring=lambda queue, job_id: self.rings.append((queue, job_id)),
            worker="trial",
            draining=lambda: self.drain.requested,
            lease_s=lease_s,
            checkpoint_s=checkpoint_s,
            limits=Limits(failures=3, outages=5),
            stall_limits_s=stall_limits_s(self.settings),
            guard=self.guard,
            pace=pace or Pace(),
        )
        return next(iter(take(queue, bench)), None)
