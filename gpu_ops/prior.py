"""A prior on editing vectors, and on codes: how far from ordinary codes an edit or an inversion may walk.

An edit can fool the classifiers that it optimises by leaving the codes that the generator was trained
on. The penalty is the mean square of delta_w in whitened coordinates: along the principal axes of
mapped samples, each divided by its standard deviation.
"""

from dataclasses import dataclass

import torch

from gpu_ops.stylegan2.generator import Generator

SAMPLES = 10_000
# Axes that hardly vary would otherwise weigh without bound.
FLOOR = 0.01


@dataclass(frozen=True)
class WhitenedPrior:
    """`whiten` [D, D] takes a step in W to standard deviations along its principal axes."""

    whiten: torch.Tensor

    @classmethod
    @torch.no_grad()
    def fit(cls, generator: Generator, *, samples: int = SAMPLES, seed: int = 0) -> "WhitenedPrior":
        """Measure the axes on `samples` mapped codes; the same generator gives the same prior."""
        rng = torch.Generator().manual_seed(seed)
        weight = next(generator.mapping.parameters())
        z = torch.randn(samples, generator.config.z_dim, generator=rng).to(weight)
        w = generator.map(z)[:, 0].double()  # [samples, D]
        variances, axes = torch.linalg.eigh(torch.cov(w.T))  # [D], [D, D]
        deviations = variances.clamp(min=0).sqrt()
        deviations = deviations.clamp(min=FLOOR * float(deviations.max()))
        return cls((axes / deviations).to(weight))

    def penalty(self, delta_w: torch.Tensor) -> torch.Tensor:
        """Mean square of whitened delta_w [N, L, D], or of a code less the mean one: [N]."""
        return (delta_w @ self.whiten).square().mean(dim=(1, 2))
