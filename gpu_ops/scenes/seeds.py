"""Who may use which seeds. Nothing may be trained on, nor chosen by, a seed from HELD_OUT on."""

from __future__ import annotations

TRAINING_SEEDS_FROM = 0
HELD_OUT_SEEDS_FROM = 10_000_000
DEMO_SEEDS_FROM = 20_000_000


def range_start(seed: int) -> int:
    """The first seed of the range that a seed lies in."""
    starts = (DEMO_SEEDS_FROM, HELD_OUT_SEEDS_FROM, TRAINING_SEEDS_FROM)
    return next(start for start in starts if seed >= start)
