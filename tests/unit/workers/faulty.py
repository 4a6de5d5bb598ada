"""Recipes of a few lines, each named for its fault. They stand where sample, invert and edit do."""

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

import torch

from gpu_ops.errors import MaskUnchangedError, NonFiniteError
from gpu_ops.progress import Progress, State, Steps
from storage.errors import ObjectCorrupt, StorageFull, StorageUnavailable
from workers.attempt import Attempt, Saved
from workers.recipe import AnyRecipe, Recipe

STEPS = 10


def recipe(on_step: Callable[[int], None] = lambda step: None, *, steps: int = STEPS) -> AnyRecipe:
    """Counts to `steps`, from its checkpoint on, unless stopped; leaves the list of steps it took."""

    def operate(taken: list[int], resume: State | None) -> Steps[list[int]]:
        first = int(resume["step"]) if resume else 0
        for step in range(first + 1, steps + 1):
            on_step(step)
            taken.append(step)
            losses, state = {"loss": 1.0 / step}, lambda at=step: {"step": torch.tensor(at)}
            if (yield Progress(step, steps, losses, state)):
                break
        return taken

    def save(attempt: Attempt, loaded: list[int], taken: list[int]) -> Saved:
        attempt.put("steps.txt", " ".join(map(str, taken)).encode(), "text/plain")
        return Saved(attempt.outputs, {"taken": taken})

    return Recipe(lambda attempt: [], operate, save)


def saving_many(pause_s: float, outputs: int) -> AnyRecipe:
    """One step, then so many outputs, each after a pause."""

    def save(attempt: Attempt, loaded: list[int], taken: list[int]) -> Saved:
        for index in range(outputs):
            time.sleep(pause_s)
            attempt.put(f"{index}.txt", b"x", "text/plain")
        return Saved(attempt.outputs, {})

    return dataclasses.replace(recipe(steps=1), save=save)


def raising(error: BaseException, *, at: int = 3) -> AnyRecipe:
    def on_step(step: int) -> None:
        if step == at:
            raise error

    return recipe(on_step)


def wrong_mask() -> AnyRecipe:
    return raising(MaskUnchangedError("the same"), at=1)


def diverging() -> AnyRecipe:
    return raising(NonFiniteError("the loss is no longer finite at step 3"))


def out_of_memory() -> AnyRecipe:
    return raising(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB"))


def buggy() -> AnyRecipe:
    return raising(ZeroDivisionError("secret path /home/somebody/x.py"))


def quitting() -> AnyRecipe:
    return raising(SystemExit(3))


def away() -> AnyRecipe:
    return raising(StorageUnavailable("The object store does not answer."))


def corrupt() -> AnyRecipe:
    return raising(ObjectCorrupt("Other bytes."))


def full() -> AnyRecipe:
    return raising(StorageFull("The object store is full."))


def slow(seconds_a_step: float, *, steps: int = STEPS) -> AnyRecipe:
    return recipe(lambda step: time.sleep(seconds_a_step), steps=steps)


def stuck(released: threading.Event, *, at: int = 2) -> AnyRecipe:
    """Waits inside a step until it is let go."""
    return recipe(lambda step: step == at and released.wait(10) and None)


def unloadable() -> AnyRecipe:
    def load(attempt: Attempt) -> Any:
        raise StorageUnavailable("no input")

    return Recipe(load, recipe().operate, recipe().save)


def loading(wait: Callable[[], object]) -> AnyRecipe:
    return Recipe(lambda attempt: (wait() and None) or [], recipe().operate, recipe().save)


def saving(wait: Callable[[], object]) -> AnyRecipe:
    def save(attempt: Attempt, loaded: list[int], taken: list[int]) -> Saved:
        wait()
        return recipe().save(attempt, loaded, taken)

    return Recipe(recipe().load, recipe().operate, save)


def stepping(wait: Callable[[], object], *, at: int = 2) -> AnyRecipe:
    return recipe(lambda step: wait() and None if step == at else None)
