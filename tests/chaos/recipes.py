"""The recipes that a World's workers run instead of the real ones. A model's name says what its jobs do.

descent   the tiny optimiser, STEP_S a step; each step is noted in CHAOS_DIR/steps/<job>
noop      nothing, at once
bulky     an output of as many megabytes as `count` says
hungry    asks for more memory than there is, at its second step
poison    kills its own process at its third step
"""

import os
import signal
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chaos.descent import Descent, State

if TYPE_CHECKING:
    from workers.attempt import Attempt, Saved

STEP_S = 0.05
ANSWER = "answer.txt"


@dataclass(frozen=True)
class Progress:
    """As gpu_ops.progress has it, which imports torch."""

    step: int
    total: int
    losses: dict[str, float] = field(default_factory=dict)
    state: Callable[[], State] | None = None
    preview: Callable[[], Any] | None = None


Steps = Generator[Progress, bool | None, str]


@dataclass(frozen=True)
class Task:
    attempt: "Attempt"
    spec: Any

    def took(self, step: int) -> None:
        """Note that a step was taken, for the judge."""
        job = self.attempt.job
        line = f"{job.attempt} {step} {os.getpid()} {time.time():.3f}\n"
        with (Path(os.environ["CHAOS_DIR"]) / "steps" / job.id).open("a") as log:
            log.write(line)


def descent(task: Task, resume: State | None) -> Steps:
    own = Descent.begun(task.spec.lr, resume)
    while own.step < task.spec.steps:
        time.sleep(STEP_S)
        loss = own.take_step()
        task.took(own.step)
        if (yield Progress(own.step, task.spec.steps, {"loss": loss}, own.state)):
            break
    return own.answer


def noop(task: Task, _resume: State | None) -> Steps:
    yield Progress(1, 1)
    return "done"


def bulky(task: Task, _resume: State | None) -> Steps:
    yield Progress(1, 1)
    return "0123456789abcdef" * 65536 * task.spec.count


def hungry(task: Task, _resume: State | None) -> Steps:
    yield Progress(1, 3)
    hoard = np.empty(1 << 36, np.uint8)  # never written to: where it is granted, it costs nothing
    yield Progress(2, 3)
    return str(hoard.size)


def poison(task: Task, _resume: State | None) -> Steps:
    for step in range(1, 4):
        time.sleep(STEP_S)
        if step == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        yield Progress(step, 5)
    return "alive"


OPERATIONS: dict[str, Callable[[Task, State | None], Steps]] = {
    "descent": descent,
    "noop": noop,
    "bulky": bulky,
    "hungry": hungry,
    "poison": poison,
}


def load(attempt: "Attempt") -> Task:
    """As the real ones do: the model's record, and the picture where there is one."""
    spec: Any = attempt.spec
    attempt.stores.library.get_model(attempt.job.tenant_id, spec.model)
    if spec.kind == "invert":
        image = attempt.stores.library.get_image(attempt.job.tenant_id, spec.image)
        attempt.stores.objects.get(image.object)
    return Task(attempt, spec)


def operate(task: Task, resume: State | None) -> Steps:
    return OPERATIONS[task.spec.model](task, resume)


def save(attempt: "Attempt", task: Task, answer: str) -> "Saved":
    from workers.attempt import Saved

    attempt.put(ANSWER, answer.encode(), "text/plain")
    return Saved(attempt.outputs, {"steps": getattr(task.spec, "steps", 1)})


def table() -> dict[str, Any]:
    from workers.recipe import Recipe

    return Table(dict.fromkeys(("sample", "invert"), Recipe(load, operate, save)))


class Table(dict[str, Any]):
    """What is asked of chunks is imported when the first one comes."""

    def __missing__(self, kind: str) -> Any:
        if kind != "chunk":
            raise KeyError(kind)
        from chaos.chunks import RECIPE

        return RECIPE


if "CHAOS_DIR" in os.environ:  # in a worker; the tests themselves only want the names
    RECIPES = table()
