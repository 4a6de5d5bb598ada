"""Inversion: the code that makes the generator draw a given picture."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch

from gpu_ops.bundle import Bundle
from gpu_ops.descent import Descent, Sloping
from gpu_ops.errors import IncompleteModelError, ShapeError
from gpu_ops.losses import squared_error
from gpu_ops.metrics import psnr_db
from gpu_ops.patience import Patience
from gpu_ops.picture import Picture, to_tensor, to_uint8
from gpu_ops.progress import Progress, State, Steps
from gpu_ops.stacked import Stacked

Start = Literal["encoder", "w_avg"]

VERSION = 1
"""Counted up whenever the same picture, model and settings would give other numbers than before."""
LAMBDA_LPIPS = 10.0
RAMP_UP, RAMP_DOWN = 0.05, 0.25


@dataclass(frozen=True)
class InvertResult:
    """w_plus float32 [N, L, D]; pictures uint8 [N, H, W, 3], redrawn; masks uint8 [N, H, W].

    steps     how many were done
    start     where from
    complete  whether nothing cut it short: not so where it was sent True
    """

    w_plus: torch.Tensor
    pictures: Picture
    masks: Picture
    psnr_db: list[float]
    losses_first: list[float]
    losses_last: list[float]
    steps: int
    start: Start
    complete: bool


def learning_rate(step: int, steps: int, lr: float) -> float:
    """Linear ramp-up over the first 5 % of steps, cosine ramp-down over the last 25 %."""
    done = (step + 1) / steps
    down = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - step / steps) / RAMP_DOWN))
    return lr * down * min(1.0, done / RAMP_UP)


def start_of(bundle: Bundle, asked: Start | None) -> Start:
    """Where an inversion starts: as asked, else at the encoder's guess where the model has an encoder.

    Raises IncompleteModelError where an encoder is asked for that the model lacks.
    """
    if asked == "encoder" and bundle.encoder is None:
        raise IncompleteModelError("the model has no encoder to start from")
    return asked or ("w_avg" if bundle.encoder is None else "encoder")


class InvertObjective(Stacked):
    """The losses of the inversion of N pictures, uint8 [N, R, R, 3]. Raises ShapeError."""

    STACKED = ("target", "target_features")

    def __init__(self, bundle: Bundle, pictures: Picture, lambda_prior: float = 0.0) -> None:
        resolution = bundle.resolution_px
        if pictures.shape[1:] != (resolution, resolution, 3):
            raise ShapeError(
                f"pictures are {list(pictures.shape)}, the model draws [N, {resolution}, {resolution}, 3]"
            )
        self.bundle, self.lambda_prior = bundle, lambda_prior
        self.target = to_tensor(pictures, bundle.device).to(bundle.generator.mapping.w_avg)
        with torch.no_grad():
            self.target_features = bundle.perceptual.features(self.target)

    @torch.no_grad()
    def first_code(self, start: Start) -> torch.Tensor:
        """[N, L, D]"""
        if start == "w_avg":
            generator = self.bundle.generator
            return generator.mapping.w_avg.expand(len(self.target), generator.num_ws, -1)
        assert self.bundle.encoder is not None
        guess: torch.Tensor = self.bundle.encoder(self.target)
        return guess

    def losses(self, w_plus: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Each loss [N], and the picture [N, 3, R, R], at w_plus [N, L, D]."""
        perceptual = self.bundle.perceptual
        drawn = self.bundle.generator.synthesise(w_plus).picture  # [N, 3, R, R]
        lpips = perceptual.distance(perceptual.features(drawn), self.target_features)
        error = squared_error(drawn, self.target)
        total = LAMBDA_LPIPS * perceptual.invert_factor * lpips + error
        each = {"lpips": lpips, "mse": error}
        if self.lambda_prior:
            each["prior"] = self.bundle.prior.penalty(w_plus - self.bundle.generator.mapping.w_avg)
            total = total + self.lambda_prior * each["prior"]
        return {"total": total, **each}, drawn


def invert(
    bundle: Bundle,
    pictures: Picture,
    *,
    steps: int = 500,
    lr: float = 0.1,
    start: Start | None = None,
    patience: int = 0,
    lambda_prior: float = 0.0,
    resume: State | None = None,
) -> Steps[InvertResult]:
    """Optimise w_plus from the encoder's guess, or from w_avg, until the generator draws `pictures`.

    pictures  uint8 [N, R, R, 3], R the model's resolution
    lr        highest Adam step size, in W+ units
    start     by default the encoder's guess where the model has one
    patience  end early once no item's loss improves any more: see gpu_ops/patience.py; 0: never
    lambda_prior  keeps the code among ordinary ones, where vectors act as they were learned: for pictures
              that the model cannot draw anyway (docs/inversion.md)

    Minimises 10 LPIPS + MSE + lambda_prior times the mean square of whitened w_plus - w_avg
    (gpu_ops/prior.py); the LPIPS weight times the backbone's recorded factor. Yields Progress
    after each step; returns the lowest-loss step of each item, early when sent True. Raises ShapeError and
    IncompleteModelError before the first step; NonFiniteError.
    Source: Ling et al. 2021, supplement; learning rate: Karras et al. 2020. Departure: the same rate from the
    encoder, where the paper takes 0.001 (docs/inversion.md).
    """
    start = start_of(bundle, start)
    objective = InvertObjective(bundle, pictures, lambda_prior)
    descent, waiting = Descent(objective.first_code(start)), Patience(patience, len(pictures))
    if resume is not None:
        descent.restore(resume)
        waiting.restore(resume)
    complete, sloping = True, Sloping(objective, bundle.device)
    while descent.step < steps and not waiting.over(descent.step):
        at = sloping.at(descent.value)
        descent.descend(at, learning_rate(descent.step, steps, lr))
        waiting.note(descent.best_loss, descent.step)
        enough = yield Progress(
            step=descent.step,
            total=steps,
            losses=at.means(),
            state=lambda: descent.state() | waiting.state(),
            preview=partial(to_uint8, at.drawn),
        )
        if enough:
            complete = descent.step >= steps or waiting.over(descent.step)
            break
    return inverted(objective, descent, pictures, start, complete)


def inverted(
    objective: InvertObjective, descent: Descent, pictures: Picture, start: Start, complete: bool
) -> InvertResult:
    """What an optimisation came to, drawn and scored against the pictures."""
    drawn, masks = objective.bundle.draw(descent.best)
    redrawn = to_uint8(drawn)
    return InvertResult(
        w_plus=descent.best,
        pictures=redrawn,
        masks=masks.to(torch.uint8).cpu().numpy(),
        psnr_db=[psnr_db(mine, theirs) for mine, theirs in zip(redrawn, pictures, strict=True)],
        losses_first=descent.first_loss.tolist(),
        losses_last=descent.best_loss.tolist(),
        steps=descent.step,
        start=start,
        complete=complete,
    )
