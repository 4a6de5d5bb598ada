"""The losses of an edit, one value per picture: float32 [N].

Source: Ling et al. 2021 (EditGAN), eqs. 2 and 3. Scales that the paper leaves open: pictures are in
[-1, 1]; the squared error is taken on [0, 1] and averaged over all pixels, the masked zeros included.
"""

import torch
import torch.nn.functional as F


def squared_error(picture: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean squared error of pictures [N, 3, H, W] in [-1, 1], as if they were in [0, 1]: [N]."""
    return (picture - target).square().mean(dim=(1, 2, 3)) / 4


def masked(picture: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    """picture [N, 3, H, W] with zeros (mid grey) where keep (bool [N, H, W]) is False."""
    return picture * keep[:, None]


def region_cross_entropy(
    logits: torch.Tensor, target: torch.Tensor, item: torch.Tensor, count: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of the region's pixels, averaged per picture: [N].

    logits [P, K] of the P region pixels of all pictures; target int64 [P]; item int64 [P], the
    picture that each pixel belongs to; count [N], region pixels per picture.
    """
    each = F.cross_entropy(logits, target, reduction="none")  # [P]
    sums = torch.zeros(count.shape, dtype=each.dtype, device=each.device).index_add(0, item, each)
    return sums / count.clamp(min=1)
