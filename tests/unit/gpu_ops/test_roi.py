"""The region of interest: pixels whose old or new part is edited, widened."""

import numpy as np
import pytest
import torch

from gpu_ops.roi import default_buffer_px, grow, region_of_interest


@pytest.mark.parametrize(
    ("resolution", "px"), [(32, 1), (64, 1), (128, 1), (256, 2), (512, 5), (1024, 10), (2048, 20)]
)
def test_the_buffer_is_five_pixels_at_512_and_at_least_one(resolution: int, px: int) -> None:
    assert default_buffer_px(resolution) == px == max(1, round(5 * resolution / 512))


@pytest.mark.parametrize("px", [0, 1, 2, 5])
def test_growth_reaches_every_pixel_within_a_square(px: int) -> None:
    rng = np.random.default_rng(px)
    region = rng.random((3, 12, 15)) < 0.03
    expected = np.zeros_like(region)
    for item, y, x in zip(*np.nonzero(region), strict=True):
        expected[item, max(0, y - px) : y + px + 1, max(0, x - px) : x + px + 1] = True
    assert np.array_equal(grow(torch.from_numpy(region), px).numpy(), expected)


def test_old_and_new_places_of_the_edited_parts_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    old, new = rng.integers(0, 5, (2, 2, 9, 9))
    got = region_of_interest(torch.from_numpy(old), torch.from_numpy(new), (1, 3), 0)
    expected = (old == 1) | (old == 3) | (new == 1) | (new == 3)
    assert np.array_equal(got.numpy(), expected)
    wider = region_of_interest(torch.from_numpy(old), torch.from_numpy(new), (1, 3), 1)
    assert torch.equal(wider, grow(got, 1))


def test_no_parts_make_no_region() -> None:
    mask = torch.zeros(1, 4, 4, dtype=torch.int64)
    assert not region_of_interest(mask, mask, (), 3).any()
