"""Shapes against their definitions, written out pixel by pixel."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from storage.mask_shapes import Region, filled, pieces_of, polygon, region_of, without, without_specks
from storage.masks import Mask

some_masks = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3))
some_regions = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))
some_points = st.lists(st.tuples(st.integers(-8, 40), st.integers(-8, 40)), min_size=3, max_size=7)


def nearest(mask: Mask, among: Region, y: int, x: int) -> int:
    ys, xs = np.nonzero(among)
    squares = (ys - y) ** 2 + (xs - x) ** 2
    return int(mask[ys, xs][squares == squares.min()].min())


@settings(deadline=None)
@given(some_masks, st.integers(0, 3))
def test_what_is_taken_away_goes_to_the_nearest_label_and_the_lowest_of_those(mask: Mask, label: int) -> None:
    region = mask == label
    wanted = mask.copy()
    if not region.all():
        for y, x in zip(*np.nonzero(region), strict=True):
            wanted[y, x] = nearest(mask, ~region, y, x)
    assert np.array_equal(without(mask, region), wanted)


@settings(deadline=None)
@given(some_masks, st.integers(0, 3), st.integers(0, 5))
def test_only_what_is_wanted_is_filled_from_within_reach(mask: Mask, label: int, reach_px: int) -> None:
    among = mask == label
    result = mask.copy()
    ys, xs = np.nonzero(among)
    near = np.zeros(mask.shape, bool)
    for y, x in zip(*np.nonzero(~among), strict=True):
        near[y, x] = among.any() and ((ys - y) ** 2 + (xs - x) ** 2).min() <= reach_px**2
        if near[y, x]:
            result[y, x] = label
    assert np.array_equal(filled(mask, near, among, reach_px), result)


@given(some_regions)
def test_pieces_are_disjoint_and_make_up_the_region_in_order(region: Region) -> None:
    pieces = pieces_of(region)
    assert sum(piece.count for piece in pieces) == region.sum()
    assert np.array_equal(region_of(pieces, region.shape), region)
    middles = [piece.box[1].start + piece.box[1].stop for piece in pieces]
    assert middles == sorted(middles)
    assert len(without_specks(pieces)) >= min(1, len(pieces))


def crossings(points: list[tuple[float, float]], x: float, y: float) -> int:
    """How many sides a ray from (x, y) to the left meets; the upper end of a side belongs to it."""
    count = 0
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
        if min(y0, y1) <= y < max(y0, y1):
            count += x0 + (x1 - x0) * (y - y0) / (y1 - y0) <= x + 1e-9
    return count


@settings(deadline=None)
@given(some_points, st.integers(1, 9), st.integers(1, 9))
def test_a_polygon_holds_the_centres_that_an_odd_number_of_sides_has_to_its_left(
    quarters: list[tuple[int, int]], width: int, height: int
) -> None:
    points = [(x / 4, y / 4) for x, y in quarters]
    wanted = [[crossings(points, x + 0.5, y + 0.5) % 2 == 1 for x in range(width)] for y in range(height)]
    assert np.array_equal(polygon(np.array(points), (height, width)), wanted)


@given(some_points, st.integers(-9, 30))
def test_a_polygon_cut_in_two_covers_each_pixel_as_often_as_before(
    corners: list[tuple[int, int]], cut: int
) -> None:
    """Neighbours that share a side share no pixel and leave none out."""
    first, second, *rest = (np.array(corner, float) / 2 for corner in corners)
    middle = first + (second - first) * (cut / 32)
    whole = polygon(np.array([first, second, *rest]), (12, 12))
    left = polygon(np.array([first, middle, rest[-1]]), (12, 12))
    right = polygon(np.array([middle, second, *rest]), (12, 12))
    assert np.array_equal(whole, left ^ right)
