"""How unsure a segmenter is: the disagreement of its classifiers.

Source: Zhang et al. 2021 (DatasetGAN): Jensen-Shannon divergence over the ensemble.
"""

import math

import torch

from gpu_ops.reading import Places
from gpu_ops.segmenter import Segmenter

CHUNK = 16_384
"""Pixels at a time: the hidden layers of ten classifiers are 84 MB then."""
TOP_SHARE = 0.1


def disagreement(logits: torch.Tensor) -> torch.Tensor:
    """Entropy of the mean minus mean of the entropies, in nats, of logits [E, P, K]: [P], at least 0."""
    each = logits.log_softmax(dim=2)  # [E, P, K]
    mean = each.logsumexp(dim=0) - math.log(len(logits))  # [P, K]
    return (_entropy(mean) - _entropy(each).mean(dim=0)).clamp(min=0)


def _entropy(log_shares: torch.Tensor) -> torch.Tensor:
    return -(log_shares.exp() * log_shares).sum(dim=-1)


@torch.no_grad()
def uncertainty(segmenter: Segmenter, features: list[torch.Tensor]) -> torch.Tensor:
    """The classifiers' disagreement at each pixel, in [0, ln K] nats: [N, R, R].

    features  [N, C, r, r] each, as the generator gives them
    """
    size = segmenter.config.resolution
    pixels = torch.arange(len(features[0]) * size * size, device=features[0].device)
    found = [disagreement(segmenter.each_at(features, Places(some, size))) for some in pixels.split(CHUNK)]
    return torch.cat(found).reshape(-1, size, size)


def picture_score(unsure: torch.Tensor) -> torch.Tensor:
    """Mean of the most uncertain tenth of the pixels of [N, R, R]: [N]."""
    flat = unsure.flatten(1)
    most = max(1, math.ceil(TOP_SHARE * flat.shape[1]))
    return flat.topk(most, dim=1).values.mean(dim=1)
