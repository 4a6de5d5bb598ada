"""Photographs: what is cut out, and that pasting back changes nothing that it should not."""

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_ops.errors import ShapeError
from gpu_ops.membrane import membrane
from gpu_ops.photo import Box, Edited, Paste, central_box, cut, paste_back, replaced_pixels
from gpu_ops.picture import to_square

R = 32
PASTES: tuple[Paste, ...] = ("auto", "difference", "replace")


def photograph(width: int = 300, height: int = 200) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def edited(region: NDArray[np.bool_] | None = None, *, changed: bool = True) -> Edited:
    """An edit that changes every pixel, as real ones do a little, and the parts in the region's middle."""
    rng = np.random.default_rng(2)
    before = rng.integers(0, 256, (R, R, 3), dtype=np.uint8)
    after = rng.integers(0, 256, (R, R, 3), dtype=np.uint8) if changed else before
    if region is None:
        region = np.zeros((R, R), bool)
        region[8:24, 6:30] = True
    mask_after = np.zeros((R, R), np.uint8)
    if changed:
        mask_after[14:18, 14:18] = 1
    return Edited(before, after, np.zeros((R, R), np.uint8), mask_after, region)


def in_full(region: NDArray[np.bool_], box: Box, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which pixels of the picture lie in a pixel of the region: by the centre of each."""
    inside = np.zeros(shape[:2], bool)
    at = ((np.arange(box.size) + 0.5) * len(region) / box.size).astype(int)
    inside[box.y : box.y + box.size, box.x : box.x + box.size] = region[np.ix_(at, at)]
    return inside


@pytest.mark.parametrize("paste", PASTES)
@pytest.mark.parametrize("box", [Box(37, 5, 190), Box(0, 0, 200), Box(280, 180, 20), Box(3, 4, 32)])
def test_outside_the_region_every_byte_is_the_original_s(paste: Paste, box: Box) -> None:
    original = photograph()
    kept = original.copy()
    change = edited()
    result = paste_back(original, box, change, paste)
    assert np.array_equal(original, kept), "the original is left alone"
    differs = (result != original).any(axis=2)
    assert differs.any()
    assert not differs[~in_full(change.region, box, original.shape)].any()


@pytest.mark.parametrize("paste", ["auto", "difference"])
def test_an_edit_that_changed_nothing_gives_the_original(paste: Paste) -> None:
    original = photograph()
    whole = np.ones((R, R), bool)
    assert np.array_equal(
        paste_back(original, Box(50, 0, 199), edited(whole, changed=False), paste), original
    )


def test_at_the_model_s_own_size_the_middle_is_the_original_plus_the_difference() -> None:
    change, box = edited(), Box(10, 20, R)
    original = np.full((100, 100, 3), 128, np.uint8)
    result = paste_back(original, box, change, "difference")[20 : 20 + R, 10 : 10 + R].astype(int)
    expected = 128 + change.after.astype(int) - change.before
    inner = (slice(10, 22), slice(8, 28))
    assert np.array_equal(result[inner], expected[inner].clip(0, 255))


def test_the_edge_is_soft_and_lies_inside() -> None:
    """A bright square on grey: the change rises from nothing within the buffer's width, never beyond."""
    region = np.zeros((R, R), bool)
    region[8:24, 8:24] = True
    before = np.full((R, R, 3), 100, np.uint8)
    change = Edited(before, before + 80, np.zeros((R, R), np.uint8), np.zeros((R, R), np.uint8), region)
    original = np.full((256, 256, 3), 100, np.uint8)
    row = paste_back(original, Box(0, 0, 256), change, "difference")[128, :, 0].astype(int) - 100
    assert row[:64].max() == 0
    assert row[192:].max() == 0
    assert (row[80:176] == 80).all()
    assert np.abs(np.diff(row)).max() <= 80 / 4, "a ramp, no step"


def test_at_the_picture_s_own_end_nothing_fades() -> None:
    region = np.ones((R, R), bool)
    before = np.full((R, R, 3), 100, np.uint8)
    change = Edited(before, before + 80, np.zeros((R, R), np.uint8), np.zeros((R, R), np.uint8), region)
    whole = paste_back(np.full((64, 64, 3), 100, np.uint8), Box(0, 0, 64), change, "difference")
    assert (whole == 180).all()
    part = paste_back(np.full((64, 96, 3), 100, np.uint8), Box(0, 0, 64), change, "difference")
    assert (part[:, 0] == 180).all()
    assert (part[:, 63] < 180).all()
    assert (part[:, 64:] == 100).all()


def test_replacing_keeps_the_edit_s_gradients_and_meets_the_original_all_around() -> None:
    """A flat edit pasted into a picture of another, slowly varying brightness takes over that brightness."""
    ramp = np.linspace(60, 160, 256)
    original = np.repeat(np.broadcast_to(ramp[None, :, None], (256, 256, 1)), 3, axis=2).astype(np.uint8)
    region = np.zeros((R, R), bool)
    region[8:24, 8:24] = True
    flat = np.full((R, R, 3), 200, np.uint8)
    change = Edited(flat, flat, np.zeros((R, R), np.uint8), np.ones((R, R), np.uint8), region)
    result = paste_back(original, Box(0, 0, 256), change, "replace").astype(int)
    assert np.abs(result - original).max() <= 3


def test_auto_replaces_where_the_part_changed_and_adds_elsewhere() -> None:
    change = edited()
    share = replaced_pixels(change, "auto")
    expected = np.zeros((R, R), bool)
    expected[13:19, 13:19] = True
    assert np.array_equal(share, expected)
    assert not replaced_pixels(change, "difference").any()
    assert np.array_equal(replaced_pixels(change, "replace"), change.region)
    box, original = Box(0, 0, 192), photograph()
    auto, added, replaced = (paste_back(original, box, change, paste) for paste in PASTES)
    assert np.array_equal(auto[:60], added[:60])
    assert np.array_equal(auto[90:102, 90:102], replaced[90:102, 90:102])


@pytest.mark.parametrize("paste", PASTES)
def test_strips_give_what_one_piece_gives(paste: Paste, monkeypatch: pytest.MonkeyPatch) -> None:
    original, box = photograph(), Box(20, 3, 181)
    whole = paste_back(original, box, edited(), paste)
    monkeypatch.setattr("gpu_ops.photo.STRIP_PIXELS", 181 * 7)
    strips = paste_back(original, box, edited(), paste)
    assert np.abs(strips.astype(int) - whole).max() <= 1
    assert (strips != whole).mean() < 1e-3


def test_a_large_picture_needs_little_more_memory_than_its_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_ops.photo.STRIP_PIXELS", 1 << 16)
    original = np.zeros((1200, 1200, 3), np.uint8)
    tracemalloc.start()
    paste_back(original, Box(0, 0, 1200), edited(), "replace")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.7 * original.nbytes


@pytest.mark.parametrize(
    "box", [Box(-1, 0, 10), Box(0, -1, 10), Box(0, 0, 0), Box(0, 0, 201), Box(291, 0, 10), Box(0, 191, 10)]
)
def test_a_box_that_is_not_in_the_picture_is_refused(box: Box) -> None:
    for attempt in (lambda: cut(photograph(), box, R), lambda: paste_back(photograph(), box, edited())):
        with pytest.raises(ShapeError):
            attempt()


def test_by_default_the_largest_central_square_is_seen() -> None:
    original = photograph(301, 200)
    assert central_box(301, 200) == Box(50, 0, 200)
    assert np.array_equal(cut(original, central_box(301, 200), R), to_square(original, R))


@pytest.mark.parametrize("side", [16, 300])
def test_a_membrane_is_harmonic_and_meets_what_is_known(side: int) -> None:
    """A linear field is harmonic: where it is known around a hole, it is found in the hole."""
    rows, columns = np.mgrid[:side, :side].astype(np.float32) / side
    field = np.stack([rows, columns, rows - 2 * columns], axis=2)
    hole = np.zeros((side, side), bool)
    hole[side // 4 : side // 2, side // 4 : -side // 4] = True
    known = np.where(hole[..., None], 9, field).astype(np.float32)
    found = membrane(known, hole)
    assert np.array_equal(found[~hole], field[~hole])
    assert np.abs(found - field).max() < (1e-5 if side == 16 else 0.02)
    assert not membrane(known, np.ones_like(hole)).any(), "nothing known: nothing added"
