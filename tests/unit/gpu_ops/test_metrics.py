"""Scores of pictures and masks against their definitions."""

import math

import numpy as np
import pytest

from gpu_ops.metrics import iou, part_ious, psnr_db


def test_psnr() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 256, (2, 6, 5, 3), dtype=np.uint8)
    error = np.mean((one.astype(float) - two.astype(float)) ** 2)
    assert psnr_db(one, two) == pytest.approx(20 * math.log10(255) - 10 * math.log10(error))
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert psnr_db(black, white) == 0
    assert psnr_db(black, np.full((2, 2, 3), 1, np.uint8)) == pytest.approx(48.1308, abs=1e-4)
    assert psnr_db(one, one) == math.inf


def test_psnr_of_some_pixels_ignores_the_others() -> None:
    one = np.zeros((4, 4, 3), np.uint8)
    two = one.copy()
    two[0, 0] = 200
    where = np.ones((4, 4), bool)
    where[0, 0] = False
    assert psnr_db(one, two, where) == math.inf
    assert psnr_db(one, two, ~where) == pytest.approx(10 * math.log10(255**2 / 200**2))


def test_iou() -> None:
    one, two = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert iou(one, two) == 1
    one[:2] = True  # 8 pixels
    assert iou(one, two) == 0
    two[1:3] = True  # 8, of them 4 shared
    assert iou(one, two) == iou(two, one) == pytest.approx(4 / 12)
    assert iou(one, one) == 1


def test_part_ious_are_over_the_whole_set() -> None:
    found = np.array([[[0, 0], [1, 1]], [[1, 1], [1, 1]]], np.uint8)
    wanted = np.array([[[0, 1], [1, 1]], [[0, 0], [1, 1]]], np.uint8)
    scores = part_ious(found, wanted, 4)
    np.testing.assert_allclose(scores[:2], [1 / 4, 4 / 7])
    assert np.isnan(scores[2:]).all()
