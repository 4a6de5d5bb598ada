"""What an operation yields after every step."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

State = dict[str, "torch.Tensor"]
Pictures = npt.NDArray[np.uint8]
R = TypeVar("R")


@dataclass(frozen=True)
class Progress:
    """One step done.

    state    copies what a later attempt needs to go on from here; empty where that is kept elsewhere
    preview  draws the pictures as they are now, uint8 [N, H, W, 3]
    """

    step: int
    total: int
    losses: dict[str, float] = field(default_factory=dict)
    state: Callable[[], State] | None = None
    preview: Callable[[], Pictures] | None = None


# An operation being run, a step at a time. Sent True, it does no more steps and returns the best so far.
Steps = Generator[Progress, bool | None, R]
