"""Which items are in a data set, and in which split: by their digests, whatever else there is."""

from collections import Counter

import numpy as np
import pytest

from workers.datasets.choose import (
    Range,
    combinations,
    draw_strengths,
    stratum_of,
    too_many,
    too_uncertain,
)
from workers.datasets.split import SPLITS, split_of

FRACTIONS = {"train": 0.7, "val": 0.2, "test": 0.1}
RANGES = [Range("b" * 32, -1.0, 1.0), Range("a" * 32, 0.5, 2.5)]


def test_a_split_is_a_matter_of_the_source_alone() -> None:
    expected = {
        "x:0": "val",
        "x:1": "train",
        "x:2": "train",
        "x:3": "val",
        "x:4": "train",
        "x:5": "train",
        "x:8": "train",
    }
    assert {source: split_of(source, FRACTIONS) for source in expected} == expected


def test_splits_have_about_their_share() -> None:
    counts = Counter(split_of(f"g:{seed}", FRACTIONS) for seed in range(20_000))
    for split in SPLITS:
        assert counts[split] / 20_000 == pytest.approx(FRACTIONS[split], abs=0.01)


def test_more_of_the_first_split_takes_from_its_neighbour_alone() -> None:
    more = {"train": 0.8, "val": 0.1, "test": 0.1}
    moved = {(split_of(f"g:{seed}", FRACTIONS), split_of(f"g:{seed}", more)) for seed in range(2_000)}
    assert {(one, two) for one, two in moved if one != two} == {("val", "train")}


def test_fractions_that_round_to_less_than_1_leave_nobody_out() -> None:
    tiny = {"train": 1e-20, "val": 1e-20, "test": 0.0}
    assert {split_of(f"g:{seed}", tiny) for seed in range(50)} == {"val"}


def test_strengths_are_in_their_range_and_whatever_the_order_of_the_vectors() -> None:
    drawn = [draw_strengths(seed, RANGES) for seed in range(500)]
    assert drawn == [draw_strengths(seed, RANGES[::-1]) for seed in range(500)]
    for each in RANGES:
        values = np.array([strengths[each.vector] for strengths in drawn])
        assert each.low <= values.min() < each.low + 0.1
        assert each.high - 0.1 < values.max() <= each.high
    one, two = (np.array([strengths[each.vector] for strengths in drawn]) for each in RANGES)
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.15


def test_bins_deal_every_combination_of_strengths_equally_often() -> None:
    def cell(seed: int) -> tuple[int, ...]:
        drawn = draw_strengths(seed, RANGES, 4)
        return tuple(min(3, int((drawn[one.vector] - one.low) / (one.high - one.low) * 4)) for one in RANGES)

    cells = Counter(cell(seed) for seed in range(100, 132))
    assert len(cells) == 16
    assert set(cells.values()) == {2}
    strata = [stratum_of(seed, RANGES, 4) for seed in range(100, 116)]
    assert sorted(strata) == list(range(16))


def test_the_least_certain_are_rejected() -> None:
    scores = np.array([0.3, 0.1, 0.5, 0.2, float("nan")])
    assert too_uncertain(scores).tolist() == [False] * 5
    assert too_uncertain(scores, max_uncertainty=0.3).tolist() == [False, False, True, False, True]
    assert too_uncertain(scores, fraction=0.4).tolist() == [False, False, True, False, True]
    assert not too_uncertain(scores, fraction=0.19).any(), "less than one of five"


def test_no_stratum_is_left_with_more_than_ratio_times_the_rarest() -> None:
    strata = np.repeat([5, 7, 9], [100, 10, 30])
    kept = np.ones(140, bool)
    kept[:20] = False
    sources = [f"g:{index}" for index in range(140)]
    gone = too_many(strata, kept, 1.0, sources)
    assert Counter(strata[kept & ~gone].tolist()) == {5: 10, 7: 10, 9: 10}
    assert not (gone & ~kept).any()
    assert Counter(strata[kept & ~too_many(strata, kept, 2.5, sources)].tolist()) == {5: 25, 7: 10, 9: 25}


def test_who_goes_for_the_balance_has_nothing_to_do_with_the_split() -> None:
    sources = [f"g:{index}" for index in range(4_000)]
    strata = np.repeat([0, 1], [3_000, 1_000])
    gone = too_many(strata, np.ones(4_000, bool), 1.0, sources)
    left = Counter(split_of(sources[index], FRACTIONS) for index in np.flatnonzero(~gone))
    assert left["train"] / 2_000 == pytest.approx(0.7, abs=0.03)


def test_nothing_kept_is_nothing_to_balance() -> None:
    assert not too_many(np.zeros(3, int), np.zeros(3, bool), 1.0, ["a", "b", "c"]).any()


def test_combinations_tell_every_set_of_parts_from_every_other() -> None:
    shown = np.array([[one, two, three] for one in (0, 1) for two in (0, 1) for three in (0, 1)], bool)
    assert len(set(combinations(shown).tolist())) == 8
    assert set(combinations(np.zeros((3, 0), bool)).tolist()) == {0}
