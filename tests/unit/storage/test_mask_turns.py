"""Parts scaled, turned and mirrored, by example."""

from typing import Any

import numpy as np
import pytest
from mask_trial import BACKGROUND, HUB, RADII, RIM, TYRE, car, disc, done, drawn, iou

from storage.mask_specs import Mirror, Rotate, Scale


@pytest.mark.parametrize("anchor", ["centre", "bottom"])
@pytest.mark.parametrize("factor", [0.5, 0.7, 1.4, 1.6])
def test_wheels_scale_as_discs_about_their_own_anchor(factor: float, anchor: str) -> None:
    after = done(car(), Scale(part="wheel", factor=factor, anchor=anchor))  # type: ignore[arg-type]
    y = 88 if anchor == "centre" else 102 - 14 * factor
    for part, radius in RADII.items():
        wanted = disc(128, (y, 36), radius * factor) | disc(128, (y, 92), radius * factor)
        found = after >= part
        assert (found & wanted).sum() / (found | wanted).sum() > (0.75 if part == HUB else 0.85)
    assert abs((after >= TYRE).sum() / (car() >= TYRE).sum() / factor**2 - 1) < 0.06


def test_a_scaled_piece_may_leave_the_picture() -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask[4:7, 4:7] = RIM
    assert (done(mask, Scale(part="rim", factor=10)) == RIM).all()
    mask[:] = RIM
    assert (done(mask, Scale(part="rim", factor=0.5)) == RIM).all()  # nothing remains to fill from


@pytest.mark.parametrize(
    ("anchor", "box"),
    [
        ("centre", (3, 5, 2, 6)),
        ("top", (2, 4, 2, 6)),
        ("bottom", (4, 6, 2, 6)),
        ("left", (3, 5, 2, 6)),
        ("right", (3, 5, 2, 6)),
    ],
)
def test_a_scale_keeps_its_anchor_where_it_is(anchor: Any, box: tuple[int, int, int, int]) -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[2:6, 2:6] = RIM
    top, bottom, left, right = box
    wanted = np.zeros((8, 8), bool)
    wanted[top:bottom, left:right] = True
    assert np.array_equal(done(mask, Scale(part="rim", factor_y=0.5, anchor=anchor)) == RIM, wanted)


@pytest.mark.parametrize(("anchor", "columns"), [("left", slice(2, 4)), ("right", slice(4, 6))])
def test_a_scale_to_the_side_keeps_that_side(anchor: Any, columns: slice) -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[2:6, 2:6] = RIM
    after = done(mask, Scale(part="rim", factor_x=0.5, anchor=anchor)) == RIM
    wanted = np.zeros((8, 8), bool)
    wanted[2:6, columns] = True
    assert np.array_equal(after, wanted)


def test_both_factors_may_differ() -> None:
    after = done(car(), Scale(part="wheel", factor_x=1.5, factor_y=0.5)) == TYRE
    ys, xs = np.nonzero(after)
    assert (ys.max() + 1 - ys.min(), xs.max() + 1 - xs.min()) == (14, 56 + 14 + 14 + 14)  # 2 of 42, 14 apart


def test_a_whole_part_may_be_scaled_as_one() -> None:
    """The wheels come nearer to each other, which they do not each by itself."""
    apart = done(car(), Scale(part="wheel", factor=0.5))
    together = done(car(), Scale(part="wheel", factor=0.5, about="part"))
    assert [int(i) for i in np.flatnonzero((apart == HUB).any(axis=0))[[0, -1]]] == [34, 93]
    assert [int(i) for i in np.flatnonzero((together == HUB).any(axis=0))[[0, -1]]] == [48, 79]


def test_a_quarter_turn_is_clockwise_and_exact() -> None:
    mask = drawn("000000", "034400", "030000", "030000", "000000", "000000")
    turned = drawn("000000", "033300", "000400", "000400", "000000", "000000")
    assert np.array_equal(done(mask, Rotate(part="wheel", degrees=90)), turned)
    assert np.array_equal(done(mask, Rotate(part="wheel", degrees=-270)), turned)
    back = done(mask, *[Rotate(part="wheel", degrees=90)] * 4)
    assert np.array_equal(back, mask)


@pytest.mark.parametrize("degrees", [10, 30, -45, 200])
def test_a_disc_turned_about_its_centre_is_the_same_disc(degrees: float) -> None:
    after = done(car(), Rotate(part="wheel", degrees=degrees))
    for part in RADII:
        assert iou(after >= part, car() >= part) > (0.8 if part == HUB else 0.9)


def test_a_whole_part_may_be_turned_as_one() -> None:
    after = done(car(), Rotate(part="wheel", degrees=90, about="part"))
    ys, xs = np.nonzero(after == HUB)
    assert (round(ys.mean() + 0.5), round(xs.mean() + 0.5)) == (88, 64)
    assert np.ptp(ys) + 1 == 56 + 8
    assert np.ptp(xs) + 1 == 8


def test_a_part_is_mirrored_in_its_place_or_to_the_other_side() -> None:
    mask = drawn("0340000", "0340000", "0300000", "0000000")
    for operation, wanted in (
        (Mirror(part="wheel"), drawn("0430000", "0430000", "0030000", "0000000")),
        (Mirror(part="wheel", about="picture"), drawn("0000430", "0000430", "0000030", "0000000")),
        (Mirror(part="wheel", direction="vertical"), drawn("0300000", "0340000", "0340000", "0000000")),
        (
            Mirror(part="wheel", direction="vertical", about="picture"),
            drawn("0000000", "0300000", "0340000", "0340000"),
        ),
    ):
        assert np.array_equal(done(mask, operation), wanted)


def test_a_whole_part_is_mirrored_as_one() -> None:
    mask = drawn("3000440", "3000400", "0000000")
    assert np.array_equal(done(mask, Mirror(part="wheel")), drawn("3000440", "3000040", "0000000"))
    together = Mirror(part="wheel", about="part")
    assert np.array_equal(done(mask, together), drawn("4400030", "0400030", "0000000"))


def test_of_very_many_pieces_the_largest_are_scaled() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[::2, ::2] = RIM
    mask[40:50, 40:50] = RIM
    after = done(mask, Scale(part="rim", factor=3))
    assert (after[31:59, 31:59] == RIM).all()
    assert after[61, 0] == RIM
    assert after[0, 61] == BACKGROUND
