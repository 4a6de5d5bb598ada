"""The prior measures steps in W in standard deviations along the principal axes of mapped codes."""

import numpy as np
import torch

from gpu_ops.bundle import Bundle
from gpu_ops.prior import FLOOR, WhitenedPrior


def mapped(bundle: Bundle, count: int, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(count, bundle.generator.config.z_dim, generator=rng)
    with torch.no_grad():
        return bundle.generator.map(z.double())[:, 0]


def test_whitened_samples_have_unit_variance_and_no_covariance(tiny64: Bundle) -> None:
    prior = WhitenedPrior.fit(tiny64.generator, samples=4000, seed=1)
    w = mapped(tiny64, 4000, seed=1)
    covariance = np.cov((w @ prior.whiten).numpy().T)
    np.testing.assert_allclose(covariance, np.eye(len(covariance)), atol=1e-8)
    unseen = np.cov((mapped(tiny64, 4000, seed=2) @ prior.whiten).numpy().T)
    np.testing.assert_allclose(unseen, np.eye(len(unseen)), atol=0.15)


def test_the_same_generator_gives_the_same_prior(tiny: Bundle) -> None:
    first = WhitenedPrior.fit(tiny.generator, samples=500)
    torch.manual_seed(99)
    second = WhitenedPrior.fit(tiny.generator, samples=500)
    assert torch.equal(first.whiten, second.whiten)
    assert first.whiten.dtype == torch.float32
    assert not torch.equal(first.whiten, WhitenedPrior.fit(tiny.generator, samples=500, seed=1).whiten)


def test_the_penalty_is_the_mean_square_of_each_item(tiny64: Bundle) -> None:
    prior = tiny64.prior
    steps = torch.randn(3, 8, 16, dtype=torch.float64)
    whitened = np.einsum("nld,de->nle", steps.numpy(), prior.whiten.numpy())
    np.testing.assert_allclose(prior.penalty(steps).numpy(), (whitened**2).mean(axis=(1, 2)), rtol=1e-10)
    assert prior.penalty(torch.zeros_like(steps)).tolist() == [0, 0, 0]


def test_axes_that_hardly_vary_weigh_no_more_than_the_floor_allows(tiny64: Bundle) -> None:
    """A mapping whose codes lie on a line: the other axes would weigh without bound."""
    layer = tiny64.generator.mapping.get_submodule("fc1")
    with torch.no_grad():
        layer.weight[1:] = 0
    prior = WhitenedPrior.fit(tiny64.generator, samples=500)
    assert torch.isfinite(prior.whiten).all()
    gains = torch.linalg.svdvals(prior.whiten)
    assert float(gains.max() / gains.min()) <= 1 / FLOOR + 1e-6
