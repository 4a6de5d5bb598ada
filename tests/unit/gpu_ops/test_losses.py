"""The losses equal their definitions in NumPy, per picture."""

import numpy as np
import torch

from gpu_ops.losses import masked, region_cross_entropy, squared_error


def test_squared_error_is_taken_on_zero_to_one() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.uniform(-1, 1, (2, 3, 3, 5, 7))
    expected = np.mean(((one + 1) / 2 - (two + 1) / 2) ** 2, axis=(1, 2, 3))
    got = squared_error(torch.from_numpy(one), torch.from_numpy(two))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12)


def test_masked_pixels_are_zero_and_count_in_the_mean() -> None:
    rng = np.random.default_rng(1)
    one, two = rng.uniform(-1, 1, (2, 2, 3, 4, 4))
    keep = rng.random((2, 4, 4)) < 0.5
    kept = [masked(torch.from_numpy(x), torch.from_numpy(keep)) for x in (one, two)]
    np.testing.assert_array_equal(kept[0].numpy(), np.where(keep[:, None], one, 0))
    expected = (((one - two) / 2) ** 2 * keep[:, None]).sum(axis=(1, 2, 3)) / (3 * 16)
    np.testing.assert_allclose(squared_error(*kept).numpy(), expected, rtol=1e-12)


def test_region_cross_entropy_is_the_mean_of_each_picture() -> None:
    rng = np.random.default_rng(2)
    logits, target = rng.normal(0, 3, (20, 4)), rng.integers(0, 4, 20)
    item = np.array([0] * 5 + [2] * 14 + [3])  # the second picture has no region
    chosen = np.exp(logits - logits.max(axis=1, keepdims=True))
    chosen = -np.log((chosen / chosen.sum(axis=1, keepdims=True))[np.arange(20), target])
    expected = [chosen[item == n].mean() if (item == n).any() else 0.0 for n in range(4)]
    count = torch.from_numpy(np.bincount(item, minlength=4))
    got = region_cross_entropy(
        torch.from_numpy(logits), torch.from_numpy(target), torch.from_numpy(item), count
    )
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12)


def test_an_empty_region_has_no_cross_entropy() -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    got = region_cross_entropy(torch.zeros(0, 4), nothing, nothing, torch.zeros(2, dtype=torch.int64))
    assert got.tolist() == [0, 0]
