"""Editing: the delta_w that makes a picture's segmentation match an edited mask.

What is minimised is gpu_ops/edit_objective.py; `layers` can hold some of the code fast.
Source: Ling et al. 2021 (EditGAN). docs/method.md has all of it.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from gpu_ops.bundle import Bundle
from gpu_ops.descent import Descent, Sloping
from gpu_ops.edit_objective import EditObjective, Shared, objective_of, refuse_unchanged
from gpu_ops.errors import ShapeError
from gpu_ops.picture import Picture, to_uint8
from gpu_ops.presets import weigh
from gpu_ops.progress import Progress, State, Steps
from gpu_ops.score import score_edit


@dataclass(frozen=True)
class EditResult:
    """delta_w float32 [N, L, D]; pictures and inverted uint8 [N, H, W, 3]; masks uint8 [N, H, W].

    steps  how many were done
    """

    delta_w: torch.Tensor
    pictures: Picture
    masks: Picture
    inverted: Picture
    masks_before: Picture
    steps: int
    metrics: list[dict[str, Any]] = field(default_factory=list)


def edit(
    bundle: Bundle,
    w_plus: torch.Tensor,
    target_masks: Picture,
    q_edit: tuple[int, ...],
    *,
    steps: int = 100,
    lr: float = 0.02,
    preset: str = "editq",
    lambda_rgb: float | None = None,
    lambda_ce: float | None = None,
    lambda_prior: float | None = None,
    lambda_id: float | None = None,
    layers: tuple[int, int] | None = None,
    buffer_px: int | None = None,
    shared: bool = False,
    resume: State | None = None,
) -> Steps[EditResult]:
    """Find the editing vector that makes the segmentation match target_masks around the parts q_edit.

    w_plus        [N, L, D] float32, codes to edit; not modified
    target_masks  [N, R, R] uint8, part ids in [0, K)
    q_edit        part ids that the edit is about
    lr            Adam step size, in W+ units
    preset        whose weights to take where none are given (gpu_ops/presets.py)
    layers        first and last layer that may change, from 0; by default all
    buffer_px     widening of the region; by default 5 px at 512 px, scaled, at least 1
    shared        look for one vector that does for all items; each loss is then their mean

    Yields Progress after each step; losses are unitless, averaged over N. Returns the lowest-loss step
    of each item (shared: of all together), early when sent True. Raises ShapeError, MaskUnchangedError
    and IncompleteModelError before the first step; NonFiniteError.
    """
    weights = weigh(
        bundle,
        preset,
        lambda_rgb=lambda_rgb,
        lambda_ce=lambda_ce,
        lambda_prior=lambda_prior,
        lambda_id=lambda_id,
    )
    objective = objective_of(bundle, w_plus, target_masks, q_edit, weights, buffer_px)
    refuse_unchanged(objective)
    start = torch.zeros_like(w_plus[:1] if shared else w_plus)
    aim = Shared(objective) if shared else objective
    descent = yield from descend(aim, start, steps=steps, lr=lr, layers=layers, resume=resume)
    return edited(objective, descent, q_edit)


def descend(
    objective: EditObjective | Shared,
    start: torch.Tensor,
    *,
    steps: int,
    lr: float,
    layers: tuple[int, int] | None = None,
    resume: State | None = None,
) -> Steps[Descent]:
    """Optimise the editing vectors [N, L, D] from `start` on; of `layers` first to last alone, if given.

    Yields Progress after each step; the descent knows the lowest-loss step of each item. Raises ShapeError
    before the first step; NonFiniteError.
    """
    descent = Descent(start, None if layers is None else free_layers(start, layers))
    if resume is not None:
        descent.restore(resume)
    sloping = Sloping(objective, start.device)
    while descent.step < steps:
        at = sloping.at(descent.value)
        descent.descend(at, lr)
        enough = yield Progress(
            step=descent.step,
            total=steps,
            losses=at.means(),
            state=descent.state,
            preview=partial(to_uint8, at.drawn),
        )
        if enough:
            break
    return descent


def free_layers(start: torch.Tensor, layers: tuple[int, int]) -> torch.Tensor:
    """1 in the layers first to last of codes like start [N, L, D], 0 in the others: [N, L, 1].

    Times these, gradients leave the others where they are under Adam. Raises ShapeError.
    """
    first, last = layers
    if not 0 <= first <= last < start.shape[1]:
        raise ShapeError(f"layers {first} to {last} of a code that has {start.shape[1]}, counted from 0")
    free = torch.zeros_like(start[:, :, :1])
    free[:, first : last + 1] = 1
    return free


def edited(objective: EditObjective, descent: Descent, q_edit: tuple[int, ...]) -> EditResult:
    """What an optimisation came to, drawn and scored."""
    delta_w = descent.best.expand_as(objective.w_plus)
    drawn, masks = objective.bundle.draw(objective.w_plus + delta_w)
    result = EditResult(
        delta_w=delta_w,
        pictures=to_uint8(drawn),
        masks=masks.to(torch.uint8).cpu().numpy(),
        inverted=to_uint8(objective.inverted),
        masks_before=objective.mask_before.to(torch.uint8).cpu().numpy(),
        steps=descent.step,
    )
    target = objective.target.to(torch.uint8).cpu().numpy()
    for index in range(len(result.pictures)):
        result.metrics.append(
            {
                **score_edit(objective.bundle, result, target, q_edit, index),
                "loss_first": float(descent.first_loss[index % len(descent.best)]),
                "loss_last": float(descent.best_loss[index % len(descent.best)]),
            }
        )
    return result
