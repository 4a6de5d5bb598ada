"""How like two sets of pictures are, by what a network sees in them: FID and KID.

FID  Heusel et al. 2017: Frechet distance of two Gaussians fitted to features
KID  Binkowski et al. 2018: unbiased squared maximum mean discrepancy, kernel (x . y / C + 1)^3
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import linalg

Rows = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Features:
    """read takes pictures [N, 3, R, R] in [-1, 1] to features [N, C]; name says by which network."""

    name: str
    read: Callable[[torch.Tensor], torch.Tensor]


def frechet_distance(one: Rows, other: Rows) -> float:
    """Frechet distance of two sets of features [n, C], each taken as a Gaussian; n at least 2."""
    gap = one.mean(axis=0) - other.mean(axis=0)
    # a covariance is R' R with the triangle R of the centred rows; the trace of the root of a product of two
    # is the sum of the singular values of R1 R2', which is exact also where there are few rows
    first, second = (_triangle((rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1)) for rows in (one, other))
    shared = linalg.svdvals(first @ second.T).sum()
    return float(gap @ gap + np.square(first).sum() + np.square(second).sum() - 2 * shared)


def _triangle(rows: Rows) -> Rows:
    triangle: Rows = np.asarray(np.linalg.qr(rows, mode="r"))
    return triangle


def kernel_distance(
    one: Rows, other: Rows, *, subsets: int = 100, size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """KID of two sets of features [n, C]: mean and standard deviation over random subsets of each.

    A subset has `size` rows, or all of the smaller set where that has fewer; at least 2.
    """
    rng = np.random.default_rng(seed)
    size = min(size, len(one), len(other))
    found = []
    for _ in range(subsets):
        x, y = (rows[rng.choice(len(rows), size, replace=False)] for rows in (one, other))
        found.append(unbiased_discrepancy(x, y))
    return float(np.mean(found)), float(np.std(found))


def unbiased_discrepancy(x: Rows, y: Rows) -> float:
    """Unbiased squared maximum mean discrepancy of features [m, C]; may be below 0."""
    count = len(x)
    within = sum(float(kernel.sum() - np.trace(kernel)) for kernel in (_kernel(x, x), _kernel(y, y)))
    return within / (count * (count - 1)) - 2 * float(_kernel(x, y).mean())


def _kernel(x: Rows, y: Rows) -> Rows:
    kernel: Rows = (x @ y.T / x.shape[1] + 1) ** 3
    return kernel
