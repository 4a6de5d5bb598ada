"""How near two results are, and running an operation of gpu_ops."""

import numpy as np
import torch


def finish(run):
    """All progress of an operation, and its result."""
    seen = []
    while True:
        try:
            seen.append(next(run))
        except StopIteration as end:
            return seen, end.value


def apart(found: torch.Tensor, exact: torch.Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    found, exact = found.detach().double().cpu(), exact.detach().double().cpu()
    assert found.shape == exact.shape
    assert bool(torch.isfinite(found).all())
    return float((found - exact).abs().max() / exact.abs().max())


def usually_apart(found: torch.Tensor, exact: torch.Tensor) -> float:
    """The root mean square difference, as a share of the root mean square value."""
    found, exact = found.detach().double().cpu(), exact.detach().double().cpu()
    assert bool(torch.isfinite(found).all())
    return float((found - exact).square().mean().sqrt() / exact.square().mean().sqrt())


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    one, other = (each.detach().double().cpu().flatten() for each in (one, other))
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


def levels(one: np.ndarray, other: np.ndarray) -> int:
    """The largest difference of pictures, in grey levels."""
    return int(np.abs(one.astype(int) - other).max())


def unlike(one: np.ndarray, other: np.ndarray) -> float:
    """The share of a mask's pixels that differ."""
    return float(np.mean(one != other))
