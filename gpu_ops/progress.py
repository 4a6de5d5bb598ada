"""What an operation yields after every step."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

State = dict[str, torch.Tensor]
Pictures = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Progress:
    """One step done.

    state    copies what a later attempt needs to go on from here
    preview  draws the pictures as they are now, uint8 [N, H, W, 3]
    """

    step: int
    total: int
    losses: dict[str, float] = field(default_factory=dict)
    state: Callable[[], State] | None = None
    preview: Callable[[], Pictures] | None = None
