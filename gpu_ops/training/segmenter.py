"""Training the segmentation branch on a handful of annotated pictures, the generator frozen.

Source: Zhang et al. 2021 (DatasetGAN); Ling et al. 2021 (EditGAN).
"""

from collections.abc import Generator as Steps

import numpy as np
import torch
import torch.nn.functional as F

from gpu_ops.picture import Picture
from gpu_ops.progress import Progress
from gpu_ops.segmenter import Segmenter, SegmenterConfig, concatenated
from gpu_ops.stylegan2.generator import Generator

PIXELS = 64
LR = 1e-3


def segmenter_for(
    generator: Generator, parts: int, *, classifiers: int = 10, widths: tuple[int, int] | None = None
) -> Segmenter:
    """An untrained segmenter that fits a generator; wider where there are 32 parts or more."""
    with torch.no_grad():
        features = generator.synthesise(generator.mapping.w_avg.expand(1, generator.num_ws, -1)).features
    channels = tuple(maps.shape[1] for maps in features)
    hidden = widths or ((256, 128) if parts >= 32 else (128, 32))
    return Segmenter(SegmenterConfig(channels, generator.config.resolution, parts, classifiers, hidden))


@torch.no_grad()
def feature_rows(generator: Generator, w_plus: torch.Tensor) -> torch.Tensor:
    """Every pixel's concatenated features for w_plus [N, L, D]: [N * R * R, C]."""
    size = generator.config.resolution
    rows = [concatenated(generator.synthesise(code[None]).features, size).flatten(0, 2) for code in w_plus]
    return torch.cat(rows)


def train_segmenter(
    segmenter: Segmenter,
    generator: Generator,
    w_plus: torch.Tensor,
    masks: Picture,
    *,
    steps: int = 6000,
    seed: int = 0,
) -> Steps[Progress, None, None]:
    """Train on codes w_plus [N, L, D] with their masks uint8 [N, R, R], yielding Progress each step.

    Each classifier sees 64 random pixels of its own per step; Adam 1e-3. Leaves it in evaluation mode.
    """
    rows = feature_rows(generator, w_plus)  # [N * R * R, C]
    labels = torch.from_numpy(np.ascontiguousarray(masks)).long().flatten()  # [N * R * R]
    rng = torch.Generator().manual_seed(seed)
    segmenter.requires_grad_(True).train()
    optimiser = torch.optim.Adam(segmenter.parameters(), lr=LR)
    for step in range(1, steps + 1):
        chosen = torch.randint(len(rows), (segmenter.config.classifiers, PIXELS), generator=rng)
        logits = segmenter.each(rows[chosen])  # [E, P, K]
        loss = F.cross_entropy(logits.flatten(0, 1), labels[chosen].flatten())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        yield Progress(step, steps, {"ce": float(loss.detach())})
    segmenter.requires_grad_(False).eval()
