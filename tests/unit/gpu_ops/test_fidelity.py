"""FID and KID against float64 references written apart, and against what is known in closed form."""

import numpy as np
import pytest
from scipy import linalg

from gpu_ops.fidelity import frechet_distance, kernel_distance, unbiased_discrepancy


def rows(count: int, width: int = 6, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, width)) @ rng.normal(size=(width, width)) + rng.normal(size=width)


def test_the_frechet_distance_is_that_of_the_papers_formula() -> None:
    one, other = rows(50, seed=1), rows(70, seed=2)
    means = one.mean(0) - other.mean(0)
    root = linalg.sqrtm(np.cov(one.T) @ np.cov(other.T)).real
    expected = means @ means + np.trace(np.cov(one.T) + np.cov(other.T) - 2 * root)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-9)


def test_the_frechet_distance_of_known_gaussians() -> None:
    """Of one variable each: the square of the difference of means, plus that of deviations."""
    x = np.array([[-1.0], [1.0]])  # variance 2, unbiased
    assert frechet_distance(x, 3 * x + 5) == pytest.approx(25 + (3 - 1) ** 2 * 2)
    assert frechet_distance(rows(30), rows(30)) == pytest.approx(0, abs=1e-8)


def test_the_frechet_distance_of_fewer_rows_than_features() -> None:
    """Singular covariances, as of few pictures: still a number, and nothing between a set and itself."""
    few = rows(4, width=20)
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(few, few + 1) == pytest.approx(20, rel=1e-6)


def test_the_discrepancy_is_that_of_a_plain_loop() -> None:
    x, y = rows(7, seed=1), rows(7, seed=2)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return (sum(float(s) * float(t) for s, t in zip(a, b, strict=True)) / len(a) + 1) ** 3

    pairs = [(i, j) for i in range(7) for j in range(7)]
    expected = sum(kernel(x[i], x[j]) + kernel(y[i], y[j]) for i, j in pairs if i != j) / 42
    expected -= 2 * sum(kernel(x[i], y[j]) for i, j in pairs) / 49
    assert unbiased_discrepancy(x, y) == pytest.approx(expected, rel=1e-12)


def test_kid_is_unbiased_and_grows_with_the_difference() -> None:
    """Of two halves of one population: nought within a few standard errors, above and below."""
    found = [kernel_distance(rows(40, 4, 9)[:20], rows(40, 4, 9)[20:], subsets=1, size=20)[0]]
    rng = np.random.default_rng(0)
    drawn = [unbiased_discrepancy(*rng.normal(size=(2, 20, 4))) for _ in range(400)]
    assert abs(np.mean(drawn)) < 4 * np.std(drawn) / 20
    assert min(drawn) < 0 < max(drawn)
    far = kernel_distance(rng.normal(size=(50, 4)), rng.normal(size=(50, 4)) + 2, subsets=10, size=30)
    assert far[0] > max(drawn)
    assert np.isfinite(found[0])


def test_kid_over_subsets_is_their_mean_and_deviation() -> None:
    one, other = rows(30, seed=1), rows(25, seed=2)
    whole = kernel_distance(one[:25], other, subsets=3, size=1000)  # no more than there are: all, each time
    assert whole == pytest.approx((unbiased_discrepancy(one[:25], other), 0.0), rel=1e-9, abs=1e-9)
    mean, deviation = kernel_distance(one, other, subsets=50, size=10, seed=4)
    assert (mean, deviation) == kernel_distance(one, other, subsets=50, size=10, seed=4)
    assert deviation > 0
