"""Seamless pasting: the smoothest field inside a region that meets what is known around it.

Source: Perez, Gangnet and Blake 2003, "Poisson Image Editing": where the gradients pasted are the source's
own, what must be added to the source is the solution of Laplace's equation.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import sparse
from scipy.sparse.linalg import spsolve

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

MOST_PX = 128  # solved no finer than this: the solution is smooth


def membrane(known: Floats, region: Bools) -> Floats:
    """known [R, R, 3] outside region [R, R]; inside it, harmonic: each value is the mean of its neighbours.

    Beyond the array's edge there is nothing to meet. Where nothing is known, 0.
    """
    side = len(region)
    if side > MOST_PX:
        fine = membrane(*_coarser(known, region))
        return np.where(region[..., None], _resized(fine, side), known).astype(np.float32)
    if region.all() or not region.any():
        return known * np.float32(not region.any())
    number = np.full((side + 2, side + 2), -1)
    number[1:-1, 1:-1][region] = np.arange(region.sum())
    there = np.pad(np.ones_like(region), 1)
    values = np.pad(known, ((1, 1), (1, 1), (0, 0)))
    rows, columns = np.nonzero(np.pad(region, 1))
    own = number[rows, columns]
    neighbours, right = np.zeros(len(own)), np.zeros((len(own), known.shape[2]))
    entries = []
    for down, across in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        at = rows + down, columns + across
        neighbours += there[at]
        inside = number[at] >= 0
        entries.append((own[inside], number[at][inside]))
        right += np.where(inside[:, None], 0, values[at])
    i, j = (np.concatenate(part) for part in zip(*entries, strict=True))
    laplacian = sparse.csc_matrix((np.full(len(i), -1.0), (i, j)), shape=(len(own), len(own)))
    found = spsolve(laplacian + sparse.diags(neighbours, format="csc"), right)
    result = known.copy()
    result[region] = found.reshape(len(own), -1)
    return result


def _coarser(known: Floats, region: Bools) -> tuple[Floats, Bools]:
    """Both at MOST_PX: inside where any of a pixel is; what is known is the mean of what is outside."""
    outside = _resized((~region).astype(np.float32)[..., None], MOST_PX)
    sums = _resized(known * ~region[..., None], MOST_PX)
    means = sums / np.maximum(outside, 1e-6)
    return means.astype(np.float32), outside[..., 0] < 0.999


def _resized(field: Floats, side: int) -> Floats:
    """[h, w, C] -> [side, side, C]: means where smaller, bilinear where larger."""
    how = Image.Resampling.BOX if side < len(field) else Image.Resampling.BILINEAR
    planes = [
        np.asarray(Image.fromarray(np.ascontiguousarray(field[..., c])).resize((side, side), how))
        for c in range(field.shape[2])
    ]
    return np.stack(planes, axis=-1).astype(np.float32)
