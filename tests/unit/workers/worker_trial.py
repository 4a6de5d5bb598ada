"""A worker over the in-memory stores, in this process."""

from collections.abc import Callable
from dataclasses import dataclass, field

from storage.records import Job
from storage.settings import Settings
from storage.stores import Stores
from workers.drain import Drain
from workers.models import Models
from workers.recipe import AnyRecipe
from workers.retry import Limits
from workers.run import Bench, take

SPEC = {"kind": "sample", "model": "cars", "seed": 0, "count": 1, "truncation_psi": 0.7}


@dataclass
class Trial:
    """One worker, one queue, one recipe."""

    stores: Stores
    settings: Settings
    drain: Drain = field(default_factory=Drain)
    rings: list[tuple[str, str]] = field(default_factory=list)

    def submit(self) -> Job:
        return self.stores.jobs.add("local", "sample", SPEC)

    def get(self, job: Job) -> Job:
        return self.stores.jobs.get("local", job.id)

    def take(self, recipe: AnyRecipe, *, lease_s: float = 5.0, checkpoint_s: float = 60.0) -> Job | None:
        recipe_for: Callable[[str], AnyRecipe] = lambda kind: recipe  # noqa: E731
        bench = Bench(
            stores=self.stores,
            recipe_for=recipe_for,
            models=Models(self.stores.objects, self.settings),
            ring=lambda queue, job_id: self.rings.append((queue, job_id)),
            worker="trial",
            draining=lambda: self.drain.requested,
            lease_s=lease_s,
            checkpoint_s=checkpoint_s,
            limits=Limits(failures=3, unavailable=5),
        )
        return take("gpu", bench)
