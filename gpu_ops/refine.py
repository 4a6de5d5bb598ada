"""Refinement: a few steps of optimisation after vectors were applied, which take back what leaked outside.

Source: Ling et al. 2021 (EditGAN), section 3.3: from the composed code, with the mask predicted there as the
target. Departures: the prior on delta_w (docs/decisions/), and that a picture keeps its unrefined code
where refining it made more of the rest change, not less.
"""

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from gpu_ops.bundle import Bundle
from gpu_ops.edit import descend
from gpu_ops.edit_objective import objective_of
from gpu_ops.metrics import Flags, psnr_db
from gpu_ops.picture import Picture, to_uint8
from gpu_ops.presets import EditWeights, weigh
from gpu_ops.progress import State, Steps
from gpu_ops.score import outside_of

LAMBDA_RGB, LAMBDA_CE, LAMBDA_ID = 5.0, 1.0, 5.0


@dataclass(frozen=True)
class View:
    """Codes as they show: pictures uint8 [N, H, W, 3]; masks uint8 [N, H, W]."""

    pictures: Picture
    masks: Picture


@dataclass(frozen=True)
class Unmasked:
    """Codes that are drawn, uint8 [N, H, W, 3]; finding their masks takes three times as long as that."""

    pictures: Picture
    bundle: Bundle
    features: list[torch.Tensor]

    @torch.no_grad()
    def view(self) -> View:
        masks = self.bundle.segmenter.predict(self.features)
        return View(self.pictures, masks.to(torch.uint8).cpu().numpy())


@torch.no_grad()
def draw(bundle: Bundle, w_plus: torch.Tensor) -> Unmasked:
    """Draw codes [N, L, D], without their masks; where the bundle says so in float16, whose largest number
    is 65,504: what goes beyond is drawn again. Masks are found in float32 anyway."""
    with torch.autocast(bundle.device.type, torch.float16) if bundle.half else nullcontext():
        output = bundle.generator.synthesise(w_plus)
    if bundle.half and not all(each.isfinite().all() for each in (output.picture, *output.features)):
        output = bundle.generator.synthesise(w_plus)
    features = [each.float() for each in output.features] if bundle.half else output.features
    return Unmasked(to_uint8(output.picture), bundle, features)


def look(bundle: Bundle, w_plus: torch.Tensor) -> View:
    """Draw codes [N, L, D], and find their masks."""
    return draw(bundle, w_plus).view()


@dataclass(frozen=True)
class RefineResult:
    """delta_w float32 [N, L, D]; better [N]: whether refining an item helped; steps: how many were done."""

    delta_w: torch.Tensor
    better: list[bool]
    steps: int


def refine_weights(bundle: Bundle) -> EditWeights:
    """lambda 5, 1, 5 as the papers have it; the identity's where the model knows one."""
    lambda_id = LAMBDA_ID if bundle.identity is not None else None
    return weigh(bundle, lambda_rgb=LAMBDA_RGB, lambda_ce=LAMBDA_CE, lambda_id=lambda_id)


def refine(
    bundle: Bundle,
    w_plus: torch.Tensor,
    delta_w: torch.Tensor,
    q_edit: tuple[int, ...],
    *,
    steps: int = 30,
    lr: float = 0.02,
    weights: EditWeights | None = None,
    buffer_px: int | None = None,
    resume: State | None = None,
) -> Steps[RefineResult]:
    """Optimise delta_w [N, L, D] on from what vectors gave, so that less changes outside their region.

    w_plus  [N, L, D] float32, the codes before; not modified
    q_edit  part ids that the vectors are about: the region is around them, before and after
    weights, lr, buffer_px  as for an edit; by default the papers' for refinement

    Yields Progress after each step; early when sent True. Each item's result is the refined one, or the
    one given where that is closer to the picture before (PSNR outside the region).
    Raises ShapeError before the first step; NonFiniteError.
    """
    before, applied = look(bundle, w_plus), look(bundle, w_plus + delta_w)
    objective = objective_of(
        bundle, w_plus, applied.masks, q_edit, weights or refine_weights(bundle), buffer_px
    )
    descent = yield from descend(objective, delta_w, steps=steps, lr=lr, resume=resume)
    better = which_better(before, applied, look(bundle, w_plus + descent.best), q_edit)
    choice = torch.tensor(better, device=delta_w.device)[:, None, None]
    return RefineResult(torch.where(choice, descent.best, delta_w), better, descent.step)


def which_better(before: View, applied: View, refined: View, q_edit: tuple[int, ...]) -> list[bool]:
    """Whether each refined picture is as close to the one before, or closer, outside the region: [N]."""
    better = []
    for item, mask in enumerate(applied.masks):
        outside = outside_of(before.masks[item], mask, q_edit)
        kept_db, refined_db = (
            leak_db(before.pictures[item], view.pictures[item], outside) for view in (applied, refined)
        )
        better.append(refined_db >= kept_db)
    return better


def leak_db(before: Picture, after: Picture, outside: Flags) -> float:
    """PSNR of pictures uint8 [H, W, 3] outside; infinite where nothing is outside, or nothing changed."""
    return psnr_db(after, before, outside) if bool(outside.any()) else np.inf
