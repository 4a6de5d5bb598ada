"""How the small networks that read pictures are trained: an order, faults, a rate, and a state to keep."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from gpu_ops.picture import Picture, to_tensor
from gpu_ops.progress import Progress, State, Steps
from gpu_ops.training.pictures import order
from gpu_ops.training.spoil import spoil
from gpu_ops.training.tensors import adam_state, network_state, restore_adam, restore_network

Indices = npt.NDArray[np.int64]
# What a step is taught by: the spoiled pictures [N, 3, H, W], which they are [N], and the share done.
Loss = Callable[[torch.Tensor, Indices, float], torch.Tensor]


@dataclass(frozen=True)
class Reading:
    """lr: the highest; it rises over a twentieth of the steps and falls as a cosine."""

    steps: int
    batch: int = 64
    lr: float = 2e-3
    weight_decay: float = 1e-3
    seed: int = 0


def train_reader(
    network: nn.Module, loss_of: Loss, pictures: Picture, reading: Reading, resume: State | None = None
) -> Steps[None]:
    """Train on pictures uint8 [n, H, W, 3], three in four of them spoiled, by AdamW.

    Computes where the network is. Yields Progress after each step, with a state to go on from to the same
    numbers. Leaves the network frozen, in evaluation mode.
    """
    adam = torch.optim.AdamW(
        network.parameters(), lr=reading.lr, betas=(0.9, 0.99), weight_decay=reading.weight_decay
    )
    first, device = 0, next(network.parameters()).device
    if resume is not None:
        first = int(resume["step"])
        restore_network(network, resume, "network")
        restore_adam(adam, resume, "adam")
    network.requires_grad_(True).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for step in range(first, reading.steps):
        adam.param_groups[0]["lr"] = reading.lr * rate(step, reading.steps)
        chosen = np.sort(order(len(pictures), reading.seed, step * reading.batch, reading.batch))
        seen = _seen(pictures, chosen, reading.seed, step).to(device)
        loss = loss_of(seen, chosen, step / reading.steps)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()

        def state(done: int = step + 1) -> State:
            tensors = network_state(network, "network") | adam_state(adam, "adam")
            return tensors | {"step": torch.tensor(done)}

        yield Progress(step + 1, reading.steps, {"loss": float(loss.detach())}, state=state)
    network.requires_grad_(False).eval()


def rate(step: int, steps: int) -> float:
    """The share of the highest rate at a step."""
    return min(1.0, 20 * (step + 1) / steps) * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def _seen(pictures: Picture, chosen: Indices, seed: int, step: int) -> torch.Tensor:
    """Some of the pictures, spoiled by random numbers of seed and step alone: [N, 3, H, W]."""
    rng = np.random.default_rng([seed, step])
    noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
    spoiled = spoil(to_tensor(pictures[chosen]), rng, noise)
    return spoiled.contiguous(memory_format=torch.channels_last)
