"""Sampling: a seed is a picture, whatever is drawn beside it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from operation import finish

from gpu_ops.bundle import Bundle
from gpu_ops.sample import sample


def test_a_seed_gives_its_picture_whatever_its_neighbours(tiny: Bundle) -> None:
    steps, three = finish(sample(tiny, [5, 6, 7], 0.7))
    torch.manual_seed(123)
    _, other = finish(sample(tiny, [9, 7], 0.7))
    assert np.array_equal(three.pictures[2], other.pictures[1])
    assert np.array_equal(three.masks[2], other.masks[1])
    assert torch.equal(three.w_plus[2], other.w_plus[1])
    assert not np.array_equal(three.pictures[0], three.pictures[1])
    assert [(p.step, p.total) for p in steps] == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("chunk", [2, 8])
def test_several_at_a_time_are_the_same_pictures_but_for_roundings(tiny: Bundle, chunk: int) -> None:
    _, one_by_one = finish(sample(tiny, [5, 6, 7], 0.7))
    steps, together = finish(sample(tiny, [5, 6, 7], 0.7, chunk=chunk))
    assert [p.step for p in steps] == ([2, 3] if chunk == 2 else [3])
    assert torch.equal(together.w_plus, one_by_one.w_plus)
    far = np.abs(together.pictures.astype(int) - one_by_one.pictures)
    assert far.max() <= 1
    assert (far > 0).mean() < 0.01


def test_shapes_and_types(tiny: Bundle) -> None:
    _, result = finish(sample(tiny, [1, 2], 1.0))
    assert (result.pictures.shape, result.pictures.dtype) == ((2, 32, 32, 3), np.uint8)
    assert (result.masks.shape, result.masks.dtype) == ((2, 32, 32), np.uint8)
    assert result.w_plus.shape == (2, tiny.generator.num_ws, 16)
    assert result.masks.max() < len(tiny.parts)
    assert len(np.unique(result.masks)) > 1


def test_truncation_draws_codes_towards_the_mean(tiny: Bundle) -> None:
    generator = tiny.generator
    moved = replace(tiny)
    before = generator.mapping.w_avg.clone()
    generator.mapping.w_avg.copy_(torch.randn(16))
    try:
        whole, half, none = (finish(sample(moved, [3, 4], psi))[1].w_plus for psi in (1.0, 0.5, 0.0))
        mean = generator.mapping.w_avg
        torch.testing.assert_close(half, (whole + mean) / 2, rtol=1e-5, atol=1e-6)
        assert torch.equal(none, mean.expand_as(none))
    finally:
        generator.mapping.w_avg.copy_(before)
