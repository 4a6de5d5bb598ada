"""Inversion: the code that makes the generator draw a given picture."""

import math
from dataclasses import dataclass
from functools import partial

import torch

from gpu_ops.bundle import Bundle
from gpu_ops.descent import Descent
from gpu_ops.errors import ShapeError
from gpu_ops.losses import squared_error
from gpu_ops.metrics import psnr_db
from gpu_ops.picture import Picture, to_tensor, to_uint8
from gpu_ops.progress import Progress, State, Steps

LAMBDA_LPIPS = 10.0
RAMP_UP, RAMP_DOWN = 0.05, 0.25


@dataclass(frozen=True)
class InvertResult:
    """w_plus float32 [N, L, D]; pictures uint8 [N, H, W, 3], redrawn; masks uint8 [N, H, W].

    steps  how many were done
    """

    w_plus: torch.Tensor
    pictures: Picture
    masks: Picture
    psnr_db: list[float]
    losses_first: list[float]
    losses_last: list[float]
    steps: int


def learning_rate(step: int, steps: int, lr: float) -> float:
    """Linear ramp-up over the first 5 % of steps, cosine ramp-down over the last 25 %."""
    done = (step + 1) / steps
    down = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - step / steps) / RAMP_DOWN))
    return lr * down * min(1.0, done / RAMP_UP)


def invert(
    bundle: Bundle,
    pictures: Picture,
    *,
    steps: int = 500,
    lr: float = 0.1,
    resume: State | None = None,
) -> Steps[InvertResult]:
    """Optimise w_plus from w_avg until the generator draws `pictures`.

    pictures  uint8 [N, R, R, 3], R the model's resolution
    lr        highest Adam step size, in W+ units

    Minimises 10 LPIPS + MSE; the LPIPS weight times the backbone's recorded factor. Yields Progress
    after each step; returns the lowest-loss step of each item, early when sent True. Raises ShapeError
    before the first step; NonFiniteError.
    Source: Ling et al. 2021, supplement; learning rate: Karras et al. 2020.
    """
    resolution = bundle.resolution_px
    if pictures.shape[1:] != (resolution, resolution, 3):
        raise ShapeError(
            f"pictures are {list(pictures.shape)}, the model draws [N, {resolution}, {resolution}, 3]"
        )
    target = to_tensor(pictures, bundle.device)
    with torch.no_grad():
        target_features = bundle.perceptual.features(target)
    start = bundle.generator.mapping.w_avg.expand(len(pictures), bundle.generator.num_ws, -1)
    descent = Descent(start)
    if resume is not None:
        descent.restore(resume)
    weight = LAMBDA_LPIPS * bundle.perceptual.invert_factor
    while descent.step < steps:
        drawn = bundle.generator.synthesise(descent.value).picture  # [N, 3, R, R]
        perceptual = bundle.perceptual.distance(bundle.perceptual.features(drawn), target_features)
        error = squared_error(drawn, target)
        losses = weight * perceptual + error  # [N]
        descent.descend(losses, learning_rate(descent.step, steps, lr))
        parts = {"total": losses, "lpips": perceptual, "mse": error}
        enough = yield Progress(
            step=descent.step,
            total=steps,
            losses={name: float(value.detach().mean()) for name, value in parts.items()},
            state=descent.state,
            preview=partial(to_uint8, drawn.detach()),
        )
        if enough:
            break
    return _finish(bundle, descent, pictures)


def _finish(bundle: Bundle, descent: Descent, pictures: Picture) -> InvertResult:
    drawn, masks = bundle.draw(descent.best)
    redrawn = to_uint8(drawn)
    return InvertResult(
        w_plus=descent.best,
        pictures=redrawn,
        masks=masks.to(torch.uint8).cpu().numpy(),
        psnr_db=[psnr_db(mine, theirs) for mine, theirs in zip(redrawn, pictures, strict=True)],
        losses_first=descent.first_loss.tolist(),
        losses_last=descent.best_loss.tolist(),
        steps=descent.step,
    )
