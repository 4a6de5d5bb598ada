"""The region of interest: where an edit may change pixels."""

import torch
import torch.nn.functional as F


def default_buffer_px(resolution_px: int) -> int:
    """The papers' 5 px, stated for pictures of about 512 px, at this resolution."""
    return max(1, round(5 * resolution_px / 512))


def grow(region: torch.Tensor, px: int) -> torch.Tensor:
    """Widen region (bool [N, H, W]) by px pixels, diagonals included."""
    if px == 0:
        return region
    widened = F.max_pool2d(region[:, None].float(), 2 * px + 1, stride=1, padding=px)  # [N, 1, H, W]
    return widened[:, 0] > 0


def of_parts(mask: torch.Tensor, parts: tuple[int, ...]) -> torch.Tensor:
    """Where mask (int64 [N, H, W]) shows one of parts: bool [N, H, W]."""
    return torch.isin(mask, torch.tensor(parts, dtype=mask.dtype, device=mask.device))


def region_of_interest(
    old_mask: torch.Tensor, new_mask: torch.Tensor, q_edit: tuple[int, ...], buffer_px: int
) -> torch.Tensor:
    """Pixels whose old or new part is in q_edit, widened by buffer_px: bool [N, H, W].

    Source: Ling et al. 2021 (EditGAN), eq. 1.
    """
    return grow(of_parts(old_mask, q_edit) | of_parts(new_mask, q_edit), buffer_px)
