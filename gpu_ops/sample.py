"""Pictures and masks drawn from a model."""

from collections.abc import Generator as Steps
from dataclasses import dataclass

import torch

from gpu_ops.bundle import Bundle
from gpu_ops.picture import Picture, to_uint8
from gpu_ops.progress import Progress


@dataclass(frozen=True)
class SampleResult:
    """pictures uint8 [N, H, W, 3]; masks uint8 [N, H, W]; w_plus float32 [N, L, D]."""

    pictures: Picture
    masks: Picture
    w_plus: torch.Tensor


def sample(bundle: Bundle, seeds: list[int], truncation_psi: float) -> Steps[Progress, None, SampleResult]:
    """Draw one picture per seed; the same seed gives the same picture whatever is drawn beside it.

    Yields Progress after each picture; returns SampleResult.
    """
    codes, pictures, masks = [], [], []
    for step, seed in enumerate(seeds, start=1):
        w_plus = seeded_code(bundle, seed, truncation_psi)
        picture, mask = bundle.draw(w_plus)
        codes.append(w_plus)
        pictures.append(picture)
        masks.append(mask)
        yield Progress(step, len(seeds))
    return SampleResult(
        pictures=to_uint8(torch.cat(pictures)),
        masks=torch.cat(masks).to(torch.uint8).cpu().numpy(),
        w_plus=torch.cat(codes),
    )


@torch.no_grad()
def seeded_code(bundle: Bundle, seed: int, truncation_psi: float) -> torch.Tensor:
    """The w_plus [1, L, D] of a seed."""
    z = torch.randn(1, bundle.generator.config.z_dim, generator=torch.Generator().manual_seed(seed))
    return bundle.generator.map(z.to(bundle.device), truncation_psi).contiguous()
