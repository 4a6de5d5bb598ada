"""What each mask operation does, by example."""

from typing import Any

import numpy as np
import pytest
from mask_trial import (
    BACKGROUND,
    BODY,
    GROUPS,
    HUB,
    PARTS,
    RIM,
    TYRE,
    car,
    done,
    drawn,
)

from storage.errors import InvalidInput, UnknownPart
from storage.mask_operations import apply_operations, changed_parts, copied_masks, edited_parts
from storage.mask_specs import (
    Copy,
    Grow,
    MaskOperation,
    Mirror,
    Polygon,
    Relabel,
    Remove,
    Rotate,
    Scale,
    Shift,
    Shrink,
    Swap,
)
from storage.specs import EditSpec

ELSEWHERE = "0" * 32


def test_operations_name_the_field_at_fault() -> None:
    with pytest.raises(UnknownPart) as caught:
        done(car(), Grow(part="rim", px=1), Scale(part="door", factor=2))
    assert caught.value.field == "mask_operations.1.part"
    with pytest.raises(UnknownPart) as caught:
        done(car(), Relabel(part="rim", into="door"))
    assert caught.value.field == "mask_operations.0.into"
    with pytest.raises(UnknownPart) as caught:
        done(car(), Polygon(into="rim", points=((0, 0), (9, 0), (9, 9)), only=("body", "wheel", "door")))
    assert caught.value.field == "mask_operations.0.only"
    with pytest.raises(UnknownPart) as caught:
        apply_operations(car(), [Remove(part="door")], PARTS, GROUPS, field="operations")
    assert caught.value.field == "operations.0.part"


@pytest.mark.parametrize(
    ("operation", "field"),
    [
        (Relabel(part="rim", into="wheel"), "into"),
        (Polygon(into="wheel", points=((0, 0), (9, 0), (9, 9))), "into"),
        (Swap(part="wheel", other="body"), "part"),
        (Swap(part="body", other="wheel"), "other"),
    ],
)
def test_a_group_is_nothing_to_turn_into(operation: MaskOperation, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        done(car(), operation)
    assert caught.value.field == f"mask_operations.0.{field}"
    assert caught.value.expected == "a single part"


def test_vacated_pixels_get_the_nearest_part() -> None:
    mask = np.array([[BODY, BODY, RIM, RIM, RIM, RIM, BACKGROUND, BACKGROUND]], np.uint8)
    assert done(mask, Scale(part="rim", factor=0.5)).tolist() == [[1, 1, 1, 3, 3, 0, 0, 0]]
    assert done(mask, Shift(part="rim", dx_px=2)).tolist() == [[1, 1, 1, 1, 3, 3, 3, 3]]
    assert done(mask, Shift(part="rim", dx_px=-100)).tolist() == [[1, 1, 1, 1, 0, 0, 0, 0]]
    assert done(mask, Grow(part="rim", px=-1)).tolist() == [[1, 1, 1, 3, 3, 0, 0, 0]]


def test_growth_is_round_and_keeps_what_is_inside() -> None:
    mask = np.zeros((21, 21), np.uint8)
    mask[10, 10] = HUB
    grown = done(mask, Grow(part="hub", px=5))
    y, x = np.mgrid[0:21, 0:21] - 10
    assert np.array_equal(grown == HUB, np.hypot(y, x) <= 5)
    after = done(car(), Grow(part="wheel", px=2))
    assert np.array_equal(after == RIM, car() == RIM)
    assert (after == TYRE).sum() > (car() == TYRE).sum()
    assert (done(car(), Grow(part="wheel", px=-64)) < TYRE).all()


def test_a_shift_moves_a_group_as_it_is() -> None:
    after = done(car(), Shift(part="wheel", dx_px=3, dy_px=-2))
    wheels = np.where(car() >= TYRE, car(), 0)
    moved = np.roll(wheels, (-2, 3), (0, 1))
    assert np.array_equal(np.where(after >= TYRE, after, 0), moved)


def test_an_absent_part_is_left_alone() -> None:
    mask = np.full((4, 4), BODY, np.uint8)
    every = [
        Scale(part="rim", factor=2),
        Grow(part="rim", px=3),
        Grow(part="rim", px=-3),
        Shrink(part="rim", px=3),
        Shift(part="rim", dx_px=1),
        Rotate(part="rim", degrees=30),
        Mirror(part="rim"),
        Remove(part="rim"),
        Relabel(part="rim", into="hub"),
        Swap(part="rim", other="hub"),
        Copy(part="rim", mask=ELSEWHERE),
        Remove(part="body", piece=1),
    ]
    assert np.array_equal(done(mask, *every, masks={ELSEWHERE: mask}), mask)


def test_a_part_that_is_all_there_is_stays_where_it_has_no_neighbour() -> None:
    mask = np.full((4, 4), RIM, np.uint8)
    every = [
        Remove(part="rim"),
        Shrink(part="rim", px=2),
        Grow(part="rim", px=2),
        Shift(part="rim", dx_px=2),
        Mirror(part="rim"),
        Rotate(part="rim", degrees=45),
    ]
    assert np.array_equal(done(mask, *every), mask)


def test_a_part_removed_goes_to_its_nearest_neighbours() -> None:
    mask = drawn("1333300")
    assert np.array_equal(done(mask, Remove(part="rim")), drawn("1110000"))
    equally_near = drawn("13330")
    assert np.array_equal(done(equally_near, Remove(part="rim")), drawn("11000"))  # the lowest id
    hubless = done(car(), Remove(part="hub"))
    assert np.array_equal(hubless, done(car(), Relabel(part="hub", into="rim")))


def test_a_swap_exchanges_two_parts() -> None:
    assert np.array_equal(done(drawn("01234"), Swap(part="rim", other="body")), drawn("03214"))


def test_a_polygon_covers_the_pixels_whose_centres_it_holds() -> None:
    mask = drawn("00000", "00110", "00110", "00000")
    square = ((1, 1), (3, 1), (3, 3), (1, 3))
    assert np.array_equal(
        done(mask, Polygon(into="hub", points=square)), drawn("00000", "04410", "04410", "00000")
    )
    only = Polygon(into="hub", points=square, only=("body",))
    assert np.array_equal(done(mask, only), drawn("00000", "00410", "00410", "00000"))
    relative = Polygon(into="hub", units="relative", points=((0, 0), (0.4, 0), (0.4, 1), (0, 1)))
    assert np.array_equal(done(mask, relative), drawn("44000", "44110", "44110", "44000"))
    outside = Polygon(into="hub", points=((-9, -9), (99, -9), (99, 2), (-9, 2)))
    assert np.array_equal(done(mask, outside), drawn("44444", "44444", "00110", "00000"))


def test_where_a_polygon_crosses_itself_twice_covered_is_not_covered() -> None:
    star = ((0, 0), (6, 0), (6, 6), (0, 6), (0, 0), (2, 2), (4, 2), (4, 4), (2, 4), (2, 2))
    after = done(np.zeros((6, 6), np.uint8), Polygon(into="rim", points=star))
    assert np.array_equal(after, drawn("333333", "333333", "330033", "330033", "333333", "333333"))


def test_a_part_is_copied_from_another_mask_over_what_is_there() -> None:
    mask = drawn("11110", "11110", "00000")
    other = drawn("00000", "03400", "00000")
    copied = Copy(part="wheel", mask=ELSEWHERE)
    assert np.array_equal(done(mask, copied, masks={ELSEWHERE: other}), drawn("11110", "13410", "00000"))
    moved = Copy(part="rim", mask=ELSEWHERE, dx_px=2, dy_px=1)
    assert np.array_equal(done(mask, moved, masks={ELSEWHERE: other}), drawn("11110", "11110", "00030"))
    gone = Copy(part="rim", mask=ELSEWHERE, dx_px=-2)
    assert np.array_equal(done(mask, gone, masks={ELSEWHERE: other}), mask)


def test_the_masks_to_copy_from_are_named_once() -> None:
    operations = [Remove(part="rim"), *(Copy(part="rim", mask=i * 32) for i in "aba")]
    assert copied_masks(operations) == {
        "a" * 32: "mask_operations.1.mask",
        "b" * 32: "mask_operations.2.mask",
    }


@pytest.mark.parametrize(
    ("piece", "left", "right"),
    [("all", True, True), ("left", True, False), ("right", False, True), (0, True, False), (1, False, True)],
)
def test_pieces_are_chosen_from_left_to_right(piece: Any, left: bool, right: bool) -> None:
    after = done(car(), Remove(part="wheel", piece=piece))
    assert (after[:, :64] >= TYRE).any() == (not left)
    assert (after[:, 64:] >= TYRE).any() == (not right)


def test_the_largest_piece_is_chosen_and_of_equals_the_left_one() -> None:
    into_hub = Relabel(part="rim", into="hub", piece="largest")
    assert np.array_equal(done(drawn("3033033030"), into_hub), drawn("3044033030"))
    assert np.array_equal(done(drawn("3033033303"), into_hub), drawn("3033044403"))


def test_specks_do_not_count_as_pieces() -> None:
    mask = car()
    mask[0, 0] = mask[127, 127] = RIM
    after = done(mask, Remove(part="wheel", piece="left"), Remove(part="wheel", piece=0))
    assert np.flatnonzero(after >= TYRE).tolist() == [0, 128 * 128 - 1]
    assert (done(mask, Remove(part="wheel")) < TYRE).all()


def test_operations_follow_one_another() -> None:
    mask = car()
    first, second = Grow(part="hub", px=3), Swap(part="hub", other="body")
    assert np.array_equal(done(mask, first, second), done(done(mask, first), second))


def test_changed_parts_are_the_smaller_of_each_pixels_two() -> None:
    old = car()
    assert changed_parts(old, old) == ()
    assert changed_parts(old, done(old, Grow(part="tyre", px=1))) == (TYRE, RIM)
    assert changed_parts(old, done(old, Scale(part="wheel", factor=1.4))) == (TYRE, RIM, HUB)
    assert changed_parts(old, done(old, Shift(part="body", dy_px=-2))) == (BODY, TYRE)


@pytest.mark.parametrize(
    ("operations", "about"),
    [
        ([Scale(part="wheel", factor=1.4)], (TYRE, RIM, HUB)),
        ([Scale(part="wheel", factor=0.6)], (TYRE, RIM, HUB)),
        ([Shift(part="hub", dx_px=2), Grow(part="wheel", px=1)], (HUB, TYRE, RIM)),
        ([Relabel(part="rim", into="body")], (RIM, BODY)),
        ([Relabel(part="wheel", into="tyre")], (TYRE, RIM, HUB)),
        ([Swap(part="hub", other="rim")], (HUB, RIM)),
        ([Polygon(into="hub", points=((0, 0), (9, 0), (9, 9)), only=("body",))], (HUB,)),
        ([Remove(part="tyre"), Mirror(part="body")], (TYRE, BODY)),
    ],
)
def test_an_edit_is_about_the_parts_that_its_operations_name(
    operations: list[MaskOperation], about: tuple[int, ...]
) -> None:
    spec = EditSpec(inversion="0" * 32, mask_operations=tuple(operations))
    assert edited_parts(spec, car(), done(car(), *operations), PARTS, GROUPS) == about


def test_an_edit_is_about_what_it_says_or_else_about_what_its_mask_changes() -> None:
    scaled = done(car(), Scale(part="wheel", factor=1.4))
    told = EditSpec(inversion="0" * 32, mask_operations=(Scale(part="wheel", factor=1.4),), q_edit=("hub",))
    assert edited_parts(told, car(), scaled, PARTS, GROUPS) == (HUB,)
    drawn = EditSpec(inversion="0" * 32, mask="1" * 32)
    assert edited_parts(drawn, car(), scaled, PARTS, GROUPS) == changed_parts(car(), scaled)
