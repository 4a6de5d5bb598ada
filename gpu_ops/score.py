"""What an edit did: inside the region by segmenter and judge, outside it by PSNR and LPIPS."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gpu_ops.bundle import Bundle
from gpu_ops.losses import masked
from gpu_ops.metrics import Flags, iou, psnr_db
from gpu_ops.picture import Picture, to_tensor
from gpu_ops.roi import region_of_interest

if TYPE_CHECKING:
    from gpu_ops.edit import EditResult

OUTSIDE_MARGIN_PX = 1


def score_edit(
    bundle: Bundle, result: "EditResult", target: Picture, q_edit: tuple[int, ...], index: int
) -> dict[str, Any]:
    """Scores of one picture of a result against target masks uint8 [N, H, W].

    IoU is of all parts in q_edit taken together. Outside means outside the region before any buffer,
    grown by one pixel. Judge scores are None where the model has no judge.
    """
    before, after = result.inverted[index], result.pictures[index]
    wanted = np.isin(target[index], q_edit)

    def score(mask: Picture) -> float:
        return iou(np.isin(mask, q_edit), wanted)

    judged: tuple[float | None, float | None] = (None, None)
    if bundle.judge is not None:
        seen = bundle.judge.predict(np.stack([before, after]))
        judged = score(seen[0]), score(seen[1])
    return {
        "iou_before": score(result.masks_before[index]),
        "iou_after": score(result.masks[index]),
        "judge_iou_before": judged[0],
        "judge_iou_after": judged[1],
        **leak(bundle, before, after, outside_of(result.masks_before[index], target[index], q_edit)),
        "perceptual_backbone": bundle.perceptual.name,
    }


def outside_of(old_mask: Picture, new_mask: Picture, q_edit: tuple[int, ...]) -> Flags:
    """Where an edit was not to change anything, of masks uint8 [H, W]: bool [H, W]."""
    old, new = (torch.from_numpy(mask[None]).long() for mask in (old_mask, new_mask))
    outside: Flags = ~region_of_interest(old, new, q_edit, OUTSIDE_MARGIN_PX)[0].numpy()
    return outside


def leak(bundle: Bundle, before: Picture, after: Picture, outside: Flags) -> dict[str, Any]:
    """How much changed outside, of pictures uint8 [H, W, 3]; the PSNR is None where there is no outside."""
    return {
        "psnr_outside_db": psnr_db(after, before, outside) if bool(outside.any()) else None,
        "lpips_outside": lpips_outside(bundle, before, after, outside[None]),
    }


@torch.no_grad()
def lpips_outside(bundle: Bundle, before: Picture, after: Picture, outside: "torch.Tensor | Flags") -> float:
    """Perceptual distance of two pictures uint8 [H, W, 3] with all but `outside` [1, H, W] blanked."""
    keep = torch.as_tensor(outside, device=bundle.device)
    one, two = (masked(to_tensor(picture[None], bundle.device), keep) for picture in (before, after))
    return float(bundle.perceptual(one, two))
