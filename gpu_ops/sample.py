"""Pictures and masks drawn from a model."""

from dataclasses import dataclass

import torch

from gpu_ops.bundle import Bundle
from gpu_ops.picture import Picture, to_uint8
from gpu_ops.progress import Progress, Steps


@dataclass(frozen=True)
class SampleResult:
    """pictures uint8 [N, H, W, 3]; masks uint8 [N, H, W]; w_plus float32 [N, L, D]."""

    pictures: Picture
    masks: Picture
    w_plus: torch.Tensor


def sample(bundle: Bundle, seeds: list[int], truncation_psi: float, *, chunk: int = 1) -> Steps[SampleResult]:
    """Draw one picture per seed, `chunk` of them at a time.

    The same seed gives the same picture whatever is drawn beside it; another chunk may change last bits.
    Yields Progress after each chunk; returns SampleResult, of the pictures drawn so far when sent True.
    """
    codes, pictures, masks = [], [], []
    for start in range(0, len(seeds), chunk):
        some = seeds[start : start + chunk]
        w_plus = torch.cat([seeded_code(bundle, seed, truncation_psi) for seed in some])
        picture, mask = bundle.draw(w_plus)
        codes.append(w_plus)
        pictures.append(picture)
        masks.append(mask)
        enough = yield Progress(start + len(w_plus), len(seeds))
        if enough:
            break
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
