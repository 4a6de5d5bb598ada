"""What holds of mask operations whatever the mask."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mask_strategies import (
    OTHER,
    any_operation,
    moving,
    some_masks,
    some_operations,
    some_parts,
    some_pieces,
)
from mask_trial import GROUPS, NAMES, PARTS, done
from pydantic import TypeAdapter

from storage.mask_operations import apply_operations
from storage.mask_shapes import Region, around, pieces_of, without_specks
from storage.mask_specs import (
    Copy,
    Grow,
    MaskOperation,
    Mirror,
    OnPart,
    Piece,
    Polygon,
    Relabel,
    Remove,
    Rotate,
    Scale,
    Shift,
    Shrink,
    Swap,
)
from storage.masks import Mask, resolve_parts

pytestmark = pytest.mark.thorough

OPERATION: TypeAdapter[MaskOperation] = TypeAdapter(MaskOperation)


def region(mask: Mask, name: str) -> Region:
    return np.isin(mask, resolve_parts([name], PARTS, GROUPS))


def both_ways(mask: Mask) -> Mask:
    """Another mask of the same shape."""
    return np.ascontiguousarray(mask[::-1, ::-1])


def introduced(operation: MaskOperation, mask: Mask) -> set[int]:
    """The labels that an operation may bring into a mask."""
    if isinstance(operation, Relabel | Polygon):
        return {NAMES.index(operation.into)}
    if isinstance(operation, Swap):
        return {NAMES.index(operation.part), NAMES.index(operation.other)}
    return set(np.unique(mask)) if isinstance(operation, Copy) else set()


@settings(deadline=None)
@given(some_masks, st.lists(any_operation, max_size=3))
def test_masks_keep_their_shape_and_known_labels_and_the_old_one_is_left(
    mask: Mask, operations: list[MaskOperation]
) -> None:
    before, other = mask.copy(), both_ways(mask)
    kept = other.copy()
    after = done(mask, *operations, masks={OTHER: other})
    assert (after.dtype, after.shape) == (np.uint8, mask.shape)
    assert after is not mask
    assert np.array_equal(mask, before)
    assert np.array_equal(other, kept)
    new = set().union(*(introduced(operation, mask) for operation in operations))
    assert set(np.unique(after)) <= set(np.unique(mask)) | new


@settings(deadline=None)
@given(some_masks, st.lists(any_operation, min_size=2, max_size=3))
def test_a_list_of_operations_is_one_after_the_other_and_gives_the_same_each_time(
    mask: Mask, operations: list[MaskOperation]
) -> None:
    copied, one_by_one = {OTHER: both_ways(mask)}, mask
    for operation in operations:
        one_by_one = done(one_by_one, operation, masks=copied)
    assert np.array_equal(done(mask, *operations, masks=copied), one_by_one)
    assert np.array_equal(done(mask, *operations, masks=copied), one_by_one)


@given(any_operation)
def test_an_operation_survives_its_json(operation: MaskOperation) -> None:
    assert OPERATION.validate_json(OPERATION.dump_json(operation), strict=True) == operation
    assert OPERATION.validate_python(OPERATION.dump_python(operation, mode="json")) == operation


@settings(deadline=None)
@given(some_masks, some_parts, some_pieces, st.sampled_from(["piece", "part"]))
def test_operations_that_ask_for_nothing_change_nothing(
    mask: Mask, part: str, piece: Piece, about: str
) -> None:
    on = {"part": part, "piece": piece}
    for operation in (
        Grow(**on, px=0),
        Shrink(**on, px=0),
        Shift(**on),
        Scale(**on, factor=1, about=about),
        Rotate(**on, degrees=0, about=about),
        Rotate(**on, degrees=360, about=about),
        Rotate(**on, degrees=-360, about=about),
    ):
        assert np.array_equal(done(mask, operation), mask)


@settings(deadline=None)
@given(some_masks, moving)
def test_what_moves_changes_only_where_it_was_and_where_it_is(mask: Mask, operation: OnPart) -> None:
    after = done(mask, operation)
    changed = after != mask
    assert not (changed & ~region(mask, operation.part) & ~region(after, operation.part)).any()


@settings(deadline=None)
@given(some_masks, some_operations[Shift])
def test_what_is_shifted_is_whole_in_its_new_place(mask: Mask, operation: Shift) -> None:
    assume(operation.piece == "all")
    ys, xs = np.nonzero(region(mask, operation.part))
    to_y, to_x = ys + operation.dy_px, xs + operation.dx_px
    seen = (to_y >= 0) & (to_y < mask.shape[0]) & (to_x >= 0) & (to_x < mask.shape[1])
    assert np.array_equal(done(mask, operation)[to_y[seen], to_x[seen]], mask[ys[seen], xs[seen]])


@settings(deadline=None)
@given(some_masks, some_parts, some_pieces, st.integers(0, 20))
def test_grown_then_shrunk_holds_the_part_and_no_more_than_it_grew_to(
    mask: Mask, part: str, piece: Piece, px: int
) -> None:
    grown = done(mask, Grow(part=part, piece=piece, px=px))
    old, large = region(mask, part), region(grown, part)
    assert np.array_equal(grown[old], mask[old])
    assert not (old & ~large).any()
    closed = region(done(grown, Shrink(part=part, px=px)), part)
    assert not (closed & ~large).any()
    if piece == "all":
        assert not (old & ~closed).any()


@settings(deadline=None)
@given(some_masks, some_parts, st.integers(0, 20))
def test_shrunk_then_grown_stays_within_the_part(mask: Mask, part: str, px: int) -> None:
    shrunk = done(mask, Shrink(part=part, px=px))
    assert np.array_equal(shrunk, done(mask, Grow(part=part, px=-px)))
    changed = shrunk != mask
    assert not (changed & ~region(mask, part)).any()
    opened = region(done(shrunk, Grow(part=part, px=px)), part)
    assert not (opened & ~region(mask, part)).any()


@settings(deadline=None)
@given(
    some_masks, some_parts, st.sampled_from(["horizontal", "vertical"]), st.sampled_from(["part", "picture"])
)
def test_mirrored_twice_a_part_is_where_it_was(mask: Mask, part: str, direction: str, about: str) -> None:
    old = region(mask, part)
    pieces = pieces_of(old)
    assume(about == "picture" or not pieces or around(pieces) == around(without_specks(pieces)))
    mirror = Mirror(part=part, direction=direction, about=about)  # type: ignore[arg-type]
    twice = done(mask, mirror, mirror)
    assert np.array_equal(twice[old], mask[old])
    assert np.array_equal(region(twice, part), old)


@settings(deadline=None)
@given(some_masks, some_parts, some_pieces)
def test_a_mask_that_is_symmetric_stays_so_when_mirrored_about_the_picture(
    mask: Mask, part: str, piece: Piece
) -> None:
    symmetric = np.concatenate([mask, mask[:, ::-1]], axis=1)
    assert np.array_equal(done(symmetric, Mirror(part=part, about="picture")), symmetric)


FLIPS: dict[str, Callable[[Mask], Mask]] = {"left": np.fliplr, "up": np.flipud, "turn": np.transpose}


@pytest.mark.parametrize("flip", FLIPS.values(), ids=FLIPS)
@settings(deadline=None)
@given(some_masks, some_parts, st.integers(-6, 6))
def test_no_direction_is_favoured_when_parts_are_filled(
    flip: Callable[[Mask], Mask], mask: Mask, part: str, px: int
) -> None:
    for operation in (Remove(part=part), Grow(part=part, px=px)):
        assert np.array_equal(done(flip(mask), operation), flip(done(mask, operation)))


@settings(deadline=None)
@given(some_masks, some_parts, some_pieces)
def test_a_removal_changes_the_whole_piece_and_nothing_else(mask: Mask, part: str, piece: Piece) -> None:
    old = region(mask, part)
    changed = done(mask, Remove(part=part, piece=piece)) != mask
    assert not (changed & ~old).any()
    if piece == "all" and not old.all():
        assert np.array_equal(changed, old)


@settings(deadline=None)
@given(some_masks, some_operations[Swap])
def test_swapped_twice_is_as_before(mask: Mask, operation: Swap) -> None:
    swapped = done(mask, operation)
    assert np.array_equal(region(swapped, operation.part), region(mask, operation.other))
    assert np.array_equal(done(swapped, operation), mask)


@settings(deadline=None)
@given(some_masks, some_operations[Polygon])
def test_a_polygon_takes_pixels_from_the_parts_allowed_alone(mask: Mask, operation: Polygon) -> None:
    after = done(mask, operation)
    changed = after != mask
    assert (after[changed] == NAMES.index(operation.into)).all()
    if operation.only:
        allowed = np.isin(mask, resolve_parts(operation.only, PARTS, GROUPS))
        assert not (changed & ~allowed).any()


@settings(deadline=None)
@given(some_masks, some_parts)
def test_a_part_copied_from_the_mask_itself_changes_nothing(mask: Mask, part: str) -> None:
    assert np.array_equal(done(mask, Copy(part=part, mask=OTHER), masks={OTHER: mask}), mask)
    other = both_ways(mask)
    after = done(mask, Copy(part=part, mask=OTHER), masks={OTHER: other})
    assert np.array_equal(after, np.where(region(other, part), other, mask))


@settings(deadline=None)
@given(some_masks, some_parts)
def test_every_piece_is_chosen_by_one_number(mask: Mask, part: str) -> None:
    """Relabelled one by one, all pieces but specks are gone."""
    pieces = without_specks(pieces_of(region(mask, part)))
    assume(len(pieces) <= 8)
    into = next(name for name in NAMES if not region(np.array([[NAMES.index(name)]]), part).any())
    operations = [Relabel(part=part, into=into, piece=number) for number in reversed(range(len(pieces)))]
    left = region(apply_operations(mask, operations, PARTS, GROUPS), part).sum()
    assert left == region(mask, part).sum() - sum(piece.count for piece in pieces)
