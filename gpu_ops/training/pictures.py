"""The training set, and the order in which it is seen."""

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from gpu_ops.training.ranks import ALONE, Ranks


class Pictures:
    """Pictures [n, H, W, 3] uint8, read from a memory-mapped pictures.npy as they are needed.

    times [n] int says how often each is seen in one pass; without it, once.
    """

    def __init__(self, data: npt.NDArray[np.uint8], times: npt.NDArray[np.int64] | None = None) -> None:
        if data.ndim != 4 or data.shape[3] != 3 or data.dtype != np.uint8:
            raise ValueError(f"pictures must be uint8 [n, H, W, 3], not {data.dtype} {data.shape}")
        if data.shape[1] != data.shape[2]:
            raise ValueError(f"pictures must be square, not {data.shape[1]} x {data.shape[2]}")
        if times is not None and times.shape != data.shape[:1]:
            raise ValueError(f"times must be [{len(data)}], not {times.shape}")
        self.data = data
        self.seen = np.arange(len(data)) if times is None else np.repeat(np.arange(len(data)), times)

    @classmethod
    def open(cls, folder: Path, repeat: dict[str, int] | None = None) -> "Pictures":
        """Open folder/pictures.npy.

        repeat {"body_type=coupe": 2} shows such scenes of folder/scenes.jsonl so often in a pass.
        """
        data = np.load(folder / "pictures.npy", mmap_mode="r", allow_pickle=False)
        return cls(data, times(folder / "scenes.jsonl", repeat) if repeat else None)

    def __len__(self) -> int:
        return len(self.data)

    @property
    def resolution(self) -> int:
        """Height and width in pixels."""
        return int(self.data.shape[1])

    def batch(
        self, seed: int, step: int, size: int, ranks: Ranks = ALONE, device: str | torch.device = "cpu"
    ) -> torch.Tensor:
        """Return this rank's share of the `size` pictures of one step.

        [N, 3, H, W] float32 in [-1, 1], channels_last, on the device.
        """
        positions = order(len(self.seen), seed, step * size, size)[ranks.rank :: ranks.count]
        indices = self.seen[positions]
        stacked = torch.from_numpy(self.data[indices]).to(device)  # [N, H, W, 3]
        return stacked.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1  # [N, 3, H, W]


def times(scenes: Path, repeat: dict[str, int]) -> npt.NDArray[np.int64]:
    """Return [n] how often each scene is seen in a pass: the product of what applies to it, or 1."""
    asked = {tuple(condition.split("=", 1)): count for condition, count in repeat.items()}
    with scenes.open() as lines:
        parsed = map(json.loads, lines)
        counts = [
            [count for (key, value), count in asked.items() if str(scene[key]) == value] for scene in parsed
        ]
    return np.array([int(np.prod(found)) for found in counts], dtype=np.int64)


def order(count: int, seed: int, start: int, size: int) -> npt.NDArray[np.int64]:
    """Return the indices at positions [start, start + size) of an endless sequence of shuffles.

    It depends on its arguments alone, so a resumed run sees what an unbroken one would have seen.
    """
    positions = np.arange(start, start + size)
    epochs = positions // count
    indices = np.empty(size, dtype=np.int64)
    for epoch in np.unique(epochs):
        chosen = epochs == epoch
        indices[chosen] = shuffled(count, seed, int(epoch))[positions[chosen] % count]
    return indices


@lru_cache(maxsize=4)
def shuffled(count: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """The order of one pass, [count]."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """Return the seed of all random numbers of one step; a function of (seed, step, rank) alone."""
    key = [seed, step, rank] if rank else [seed, step]
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return int(state >> np.uint64(1))
