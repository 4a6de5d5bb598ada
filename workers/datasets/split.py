"""Which split an item is of: a matter of its source alone, whatever else there is and in whatever order."""

import hashlib
from collections.abc import Mapping

SPLITS = ("train", "val", "test")


def share_of(source: str) -> float:
    """A number in [0, 1), evenly spread over sources, from the first 53 bits of the SHA-256."""
    first = int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "big") >> 11
    return first * 2.0**-53


def split_of(source: str, fractions: Mapping[str, float]) -> str:
    """train, val or test. fractions: of each split, in [0, 1]; they add up to 1.

    As one fraction grows, items move between neighbours in the order of SPLITS, and no others.
    """
    share, until, last = share_of(source), 0.0, ""
    for split in SPLITS:
        if fractions.get(split, 0) > 0:
            until, last = until + fractions[split], split
            if share < until:
                return split
    return last  # where rounding left the sum a little under 1
