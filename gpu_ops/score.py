"""What an edit did: inside the region by segmenter and judge, outside it by PSNR and LPIPS."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from gpu_ops.bundle import Bundle
from gpu_ops.losses import masked
from gpu_ops.metrics import iou, psnr_db
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
    old, new = (torch.from_numpy(mask[index : index + 1]).long() for mask in (result.masks_before, target))
    outside = ~region_of_interest(old, new, q_edit, OUTSIDE_MARGIN_PX)
    return {
        "iou_before": score(result.masks_before[index]),
        "iou_after": score(result.masks[index]),
        "judge_iou_before": judged[0],
        "judge_iou_after": judged[1],
        "psnr_outside_db": psnr_db(after, before, outside[0].numpy()) if bool(outside.any()) else None,
        "lpips_outside": lpips_outside(bundle, before, after, outside.to(bundle.device)),
        "perceptual_backbone": bundle.perceptual.name,
    }


@torch.no_grad()
def lpips_outside(
    bundle: Bundle, before: Picture, after: Picture, outside: "torch.Tensor | npt.NDArray[np.bool_]"
) -> float:
    """Perceptual distance of two pictures uint8 [H, W, 3] with all but `outside` [1, H, W] blanked."""
    keep = torch.as_tensor(outside, device=bundle.device)
    one, two = (masked(to_tensor(picture[None], bundle.device), keep) for picture in (before, after))
    return float(bundle.perceptual(one, two))
