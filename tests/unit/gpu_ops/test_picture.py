"""Pictures between files and networks."""

import numpy as np
import pytest
import torch

from gpu_ops.picture import to_square, to_tensor, to_uint8


def test_every_level_survives_the_way_there_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    tensor = to_tensor(levels)
    assert tensor.shape == (1, 3, 16, 16)
    assert tensor.dtype == torch.float32
    assert (float(tensor.min()), float(tensor.max())) == (-1, 1)
    assert np.array_equal(to_uint8(tensor), levels)


def test_axes_and_colours_keep_their_places() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3), dtype=np.uint8)
    tensor = to_tensor(picture)
    assert float(tensor[1, 2, 0, 3]) == pytest.approx(picture[1, 0, 3, 2] / 127.5 - 1)
    assert np.array_equal(to_uint8(tensor), picture)


def test_what_is_out_of_range_is_clamped_and_the_rest_rounded() -> None:
    values = torch.tensor([-9.0, -1.001, 0.0, 0.999, 1.5]).reshape(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert to_uint8(values)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert to_uint8(values.double().requires_grad_()).dtype == np.uint8


@pytest.mark.parametrize(("height", "width"), [(8, 14), (14, 8), (9, 8), (8, 8)])
def test_the_central_square_is_cut_out(height: int, width: int) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    top, left = (height - 8) // 2, (width - 8) // 2
    square = to_square(picture, 8)
    assert np.array_equal(square, picture[top : top + 8, left : left + 8])
    square[:] = 0
    assert picture.any(), "the picture given stays as it was"


@pytest.mark.parametrize("size", [4, 16, 31])
def test_resizing_keeps_plain_colour_and_direction(size: int) -> None:
    plain = np.full((10, 20, 3), (10, 120, 250), np.uint8)
    assert (to_square(plain, size) == (10, 120, 250)).all()
    slope = np.repeat(np.linspace(0, 255, 10, dtype=np.uint8)[:, None], 10, axis=1)[:, :, None].repeat(3, 2)
    resized = to_square(slope, size)
    assert resized.shape == (size, size, 3)
    assert resized.dtype == np.uint8
    assert (np.diff(resized[:, 0, 0].astype(int)) >= 0).all()


def test_a_picture_of_one_pixel() -> None:
    assert (to_square(np.full((1, 3, 3), 7, np.uint8), 16) == 7).all()
