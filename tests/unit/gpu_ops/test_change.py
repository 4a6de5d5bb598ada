"""What changed between two masks, computed by hand: what a vector is called, how its effect is measured."""

from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gpu_ops.change import Measure, changes, editing_type, least_px, measure_of
from gpu_ops.picture import Picture

PARTS = ("sky", "body", "tyre", "rim")
GROUPS = {"wheel": ("tyre", "rim")}
EVERY = (0, 1, 2, 3)


def blank() -> Picture:
    return np.zeros((32, 32), np.uint8)


def square(part: int, top: int, left: int, side: int, onto: Picture | None = None) -> Picture:
    mask = blank() if onto is None else onto.copy()
    mask[top : top + side, left : left + side] = part
    return mask


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (square(2, 4, 4, 10), square(2, 4, 4, 12), "tyre grows"),  # 100 px to 144
        (square(2, 4, 4, 12), square(2, 4, 4, 10), "tyre shrinks"),
        (square(2, 4, 4, 10), square(2, 4, 9, 10), "tyre moves right"),
        (square(2, 4, 9, 10), square(2, 4, 4, 10), "tyre moves left"),
        (square(2, 4, 4, 10), square(2, 9, 5, 10), "tyre moves down"),
        (square(2, 9, 5, 10), square(2, 4, 4, 10), "tyre moves up"),
        (blank(), square(2, 4, 4, 10), "tyre appears"),
        (square(2, 4, 4, 10), blank(), "tyre vanishes"),
        (square(2, 4, 4, 10), square(2, 4, 4, 10), "other"),
        (square(2, 4, 4, 10), square(3, 4, 4, 1, square(2, 4, 4, 10)), "other"),  # a pixel of rim is none
    ],
)
def test_a_change_is_told_in_a_word(before: Picture, after: Picture, told: str) -> None:
    assert editing_type(changes(before, after, PARTS, {}, (2, 3))) == told


def test_figures_of_a_change_are_those_of_its_pixels() -> None:
    before, after = square(2, 4, 4, 10), square(2, 4, 6, 12)
    (change,) = changes(before, after, PARTS, {}, (2,))
    assert change.growth == pytest.approx(0.44)
    assert (change.dx, change.dy) == pytest.approx((3 / 32, 1 / 32))  # centres 8.5, 8.5 and 11.5, 9.5
    assert change.changed_px == 100 + 144 - 2 * 80  # they share 8 columns of 10 rows


def test_a_group_is_told_of_as_one_where_it_changes_as_one() -> None:
    before, after = square(3, 6, 6, 4, square(2, 4, 4, 8)), square(3, 6, 6, 4, square(2, 4, 4, 12))
    (change,) = changes(before, after, PARTS, GROUPS, (2, 3))
    assert (str(change), change.parts) == ("wheel grows", (2, 3))
    assert [str(each) for each in changes(before, after, PARTS, GROUPS, (2,))] == ["tyre grows"]


def test_within_a_group_that_stays_its_parts_are_told_of() -> None:
    before, after = square(3, 6, 6, 4, square(2, 4, 4, 8)), square(2, 4, 4, 8)
    found = changes(before, after, PARTS, GROUPS, (2, 3))
    assert sorted(map(str, found)) == ["rim vanishes", "tyre grows"]


def test_the_largest_change_comes_first_and_what_does_not_fit_is_left_out() -> None:
    before, after = square(3, 20, 20, 5, square(2, 2, 2, 8)), square(3, 20, 20, 6, square(2, 2, 2, 12))
    found = changes(before, after, PARTS, GROUPS | {"wheel": ()}, (2, 3))
    assert editing_type(found) == "tyre grows; rim grows"
    assert len(editing_type(found * 9)) <= 80


MASKS = arrays(np.uint8, (32, 32), elements=st.integers(0, 3))


@settings(max_examples=25, deadline=None)
@given(MASKS, MASKS)
def test_there_and_back_are_opposites(before: Picture, after: Picture) -> None:
    opposite = {"grows": "shrinks", "shrinks": "grows", "appears": "vanishes", "vanishes": "appears"}
    there = {change.name: change for change in changes(before, after, PARTS, {}, EVERY)}
    back = {change.name: change for change in changes(after, before, PARTS, {}, EVERY)}
    for name in there.keys() & back.keys():
        one, other = there[name], back[name]
        assert one.changed_px == other.changed_px
        assert (one.dx, one.dy) == pytest.approx((-other.dx, -other.dy))
        if one.kind != "moves" and other.kind != "moves":
            assert other.kind == opposite[one.kind]
    assert not changes(before, before, PARTS, GROUPS, EVERY)


def test_growth_share_and_shift_are_measured() -> None:
    before, after = square(2, 4, 4, 10), square(2, 4, 6, 12)
    assert Measure("growth", "tyre", (2,)).of(before, after) == pytest.approx(0.44)
    assert Measure("share", "tyre", (2,)).of(before, after) == 44 / 1024
    assert Measure("shift", "tyre", (2,), dx=1.0).of(before, after) == pytest.approx(3 / 32)
    assert Measure("shift", "tyre", (2,), dx=0.6, dy=-0.8).of(before, after) == pytest.approx(
        (1.8 - 0.8) / 32
    )
    assert Measure("growth", "tyre", (2,)).of(before, blank()) == -1
    assert isnan(Measure("growth", "tyre", (2,)).of(blank(), after))
    assert isnan(Measure("shift", "tyre", (2,)).of(before, blank()))


@pytest.mark.parametrize(
    ("before", "after", "kind", "amount"),
    [
        (square(2, 4, 4, 10), square(2, 4, 4, 12), "growth", 0.44),
        (square(2, 4, 4, 10), blank(), "growth", -1.0),
        (blank(), square(2, 4, 4, 10), "share", 100 / 1024),
        (square(2, 4, 4, 10), square(2, 7, 8, 10), "shift", 5 / 32),
    ],
)
def test_the_measure_of_a_change_gives_its_size_on_itself(
    before: Picture, after: Picture, kind: str, amount: float
) -> None:
    measure = measure_of(changes(before, after, PARTS, {}, (2,)))
    assert measure is not None
    assert measure.kind == kind
    assert measure.of(before, after) == pytest.approx(amount)
    assert measure.of(before, before) == 0 or isnan(measure.of(before, before))
    assert measure_of([]) is None


def test_thirty_pixels_at_512_are_two_at_64() -> None:
    assert [least_px(side) for side in (512, 256, 64, 16)] == [30, 8, 2, 2]
