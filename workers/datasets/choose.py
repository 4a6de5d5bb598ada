"""What is left out: samples that the segmenter is unsure of, and what the balance has too much of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.datasets.split import share_of

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Range:
    """Between which strengths a vector is applied."""

    vector: str
    low: float
    high: float


def draw_strengths(seed: int, ranges: Sequence[Range], bins: int = 1) -> dict[str, float]:
    """The strength of each vector for the sample of a seed, evenly spread over its range, to six decimals.

    A matter of seed, vector, range and bins alone. With bins, each range is cut into so many equal ones, and
    seeds that follow one another are dealt each combination of these in turn.
    """
    dealt = stratum_of(seed, ranges, bins)
    found = {}
    for each in sorted(ranges, key=lambda one: one.vector):
        dealt, own = divmod(dealt, bins)
        share = (own + share_of(f"strength:{each.vector}:{seed}")) / bins
        found[each.vector] = round(each.low + (each.high - each.low) * share, 6)
    return found


def stratum_of(seed: int, ranges: Sequence[Range], bins: int) -> int:
    """Which combination of bins."""
    return int(seed % bins ** len(ranges))


def too_uncertain(
    scores: Numbers, max_uncertainty: float | None = None, fraction: float | None = None
) -> Flags:
    """Which of scores [n] are rejected: those above a limit, or the highest fraction (rounded down)."""
    if fraction is not None:
        flags = np.zeros(len(scores), bool)
        flags[np.argsort(scores, kind="stable")[len(scores) - int(fraction * len(scores)) :]] = True
        return flags
    if max_uncertainty is not None:
        return ~(scores <= max_uncertainty)  # what is no number is not sure of anything
    return np.zeros(len(scores), bool)


def combinations(shown: Flags) -> Ids:
    """A number for each row of shown [n, P] that tells its combination from others: [n]."""
    weights = 1 << np.arange(shown.shape[1], dtype=np.int64)
    numbers: Ids = shown.astype(np.int64) @ weights
    return numbers


def too_many(strata: Ids, kept: Flags, ratio: float, sources: Sequence[str]) -> Flags:
    """Which of those kept [n] must go so that no stratum has more than ratio times as many as the rarest.

    strata   [n], numbers; a stratum that nobody is left in does not count
    sources  of each; their digests decide who goes, so that nothing is favoured
    """
    there, counts = np.unique(strata[kept], return_counts=True)
    flags = np.zeros(len(strata), bool)
    if not len(there):
        return flags
    most = int(ratio * counts.min())
    for stratum in there[counts > most]:
        own = np.flatnonzero(kept & (strata == stratum))
        order = sorted(own.tolist(), key=lambda index: (share_of(f"balance:{sources[index]}"), index))
        flags[order[most:]] = True
    return flags
