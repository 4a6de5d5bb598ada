"""The course of a job of several stages: which step it is at, and what earlier stages found."""

from typing import TypeVar

import torch

from gpu_ops.progress import State, Steps
from gpu_ops.stages import resumed, stage

R = TypeVar("R")
FOUND = "found."


class Course:
    """Runs stages one after the other as one operation of `total` steps.

    What a stage found and `keep` was told of is in every later checkpoint: `known` brings it back, and the
    stage, which is then `skipped`, is not run again.
    """

    def __init__(self, total: int, resume: State | None) -> None:
        self._total, self._resume = total, resume or {}
        self._done = 0
        self._found: State = {}

    def known(self, name: str) -> torch.Tensor | None:
        return self._resume.get(FOUND + name)

    def keep(self, name: str, value: torch.Tensor) -> None:
        self._found[FOUND + name] = value.detach().cpu()

    def resumed(self, name: str) -> State | None:
        """Where a stage was when the checkpoint was made; None when it was made in another one."""
        return resumed(name, self._resume)

    def skipped(self, most: int) -> None:
        """Count the steps of a stage that has been done already, or need not be."""
        self._done += most

    def run(self, name: str, steps: Steps[R], most: int) -> Steps[R]:
        """Run a stage of `most` steps; one that ends early counts as if it had taken them all."""
        result = yield from stage(name, steps, done=self._done, total=self._total, carry=dict(self._found))
        self._done += most
        return result
