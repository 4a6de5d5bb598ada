"""Pivotal tuning: the generator itself learns one picture, around the code found for it, its pivot.

For photographs that no code reaches. Edits then start from the pivot in the tuned generator.
Source: Roich et al. 2021, "Pivotal Tuning for Latent-based Editing of Real Images", eqs. 2 to 6.
"""

import copy
from dataclasses import dataclass, replace
from functools import partial

import torch

from gpu_ops.bundle import Bundle
from gpu_ops.errors import NonFiniteError, ShapeError
from gpu_ops.losses import squared_error
from gpu_ops.metrics import psnr_db
from gpu_ops.picture import Picture, to_tensor, to_uint8
from gpu_ops.progress import Progress, State, Steps
from gpu_ops.stylegan2.generator import Generator
from gpu_ops.training.tensors import adam_state, restore_adam

VERSION = 1
"""As that of gpu_ops/invert.py."""
RATE = 3e-4
LOCALITY = 0.1  # weight of the regulariser
HALF_WAY = 0.5  # how far from the pivot to a random code the generator is held to what it drew
SYNTHESIS = "synthesis."


@dataclass(frozen=True)
class TuneResult:
    """weights: the tuned tensors, float32, by their names in the generator; picture uint8 [R, R, 3].

    psnr_db, before_db  of the pivot's picture in the tuned generator, and in the one that it was
    """

    weights: State
    picture: Picture
    psnr_db: float
    before_db: float
    steps: int
    complete: bool


def tuned(bundle: Bundle, weights: State) -> Bundle:
    """The bundle with a generator tuned to a picture in place of its own. Raises ShapeError."""
    generator = copy.deepcopy(bundle.generator)
    try:
        missing, unknown = generator.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise ShapeError(f"the tuned weights do not fit the model: {error}") from error
    if unknown or any(name in _tunable(generator) for name in missing):
        raise ShapeError("the tuned weights are of another model")
    return replace(bundle, generator=generator)


def tune(
    bundle: Bundle,
    w_plus: torch.Tensor,
    picture: Picture,
    *,
    steps: int = 350,
    lr: float = RATE,
    resume: State | None = None,
) -> Steps[TuneResult]:
    """Tune the synthesis network until it draws picture [R, R, 3] at the pivot w_plus [1, L, D].

    Minimises LPIPS + L2 there, and 0.1 times the same between what the tuned and the untuned generator draw
    half way between the pivot and a random code, so that the rest of the model stays what it is. LPIPS is
    times the backbone's recorded factor, L2 on [-1, 1]. Adam, a random code for each step, from its number.
    Yields Progress after each step; returns the last step, early when sent True.
    Raises ShapeError before the first step; NonFiniteError.
    Departure: half way, where the paper walks 30 units of W: those differ from model to model.
    """
    resolution = bundle.resolution_px
    if picture.shape != (resolution, resolution, 3) or len(w_plus) != 1:
        raise ShapeError(f"one picture of {resolution} px and one code, not {picture.shape}, {len(w_plus)}")
    generator = copy.deepcopy(bundle.generator)
    learned = _tunable(generator)
    adam = torch.optim.Adam([tensor.requires_grad_() for tensor in learned.values()], lr=lr)
    step = _restored(learned, adam, resume)
    target = to_tensor(picture[None], bundle.device)
    complete = True
    while step < steps:
        drawn = generator.synthesise(w_plus).picture  # [1, 3, R, R]
        pivot = _distance(bundle, drawn, target)
        around = _beside(bundle, w_plus, step)
        with torch.no_grad():
            held = bundle.generator.synthesise(around).picture
        locality = _distance(bundle, generator.synthesise(around).picture, held)
        loss = pivot + LOCALITY * locality
        parts = {"total": loss, "pivot": pivot, "locality": locality}
        if not bool(torch.isfinite(loss)):
            raise NonFiniteError(f"the loss of tuning is no longer finite at step {step + 1}")
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        step += 1
        enough = yield Progress(
            step=step,
            total=steps,
            losses={name: float(value.detach()) for name, value in parts.items()},
            state=partial(_state, learned, adam, step),
            preview=partial(to_uint8, drawn.detach()),
        )
        if enough:
            complete = step >= steps
            break
    weights = {name: tensor.detach().clone().cpu() for name, tensor in learned.items()}
    drawn_by = [to_uint8(b.draw(w_plus)[0])[0] for b in (bundle, tuned(bundle, weights))]
    before_db, after_db = (psnr_db(mine, picture) for mine in drawn_by)
    return TuneResult(weights, drawn_by[1], after_db, before_db, step, complete)


def _tunable(generator: Generator) -> dict[str, torch.nn.Parameter]:
    """All that the synthesis network learned; its noise, and the mapping, stay."""
    return {name: value for name, value in generator.named_parameters() if name.startswith(SYNTHESIS)}


def _distance(bundle: Bundle, drawn: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    lpips = bundle.perceptual.invert_factor * bundle.perceptual(drawn, target)
    total: torch.Tensor = (lpips + 4 * squared_error(drawn, target)).sum()  # 4: as on [-1, 1]
    return total


@torch.no_grad()
def _beside(bundle: Bundle, w_plus: torch.Tensor, step: int) -> torch.Tensor:
    """A code [1, L, D] half way to a random one."""
    rng = torch.Generator().manual_seed(step)
    z = torch.randn(1, bundle.generator.config.z_dim, generator=rng).to(w_plus)
    return w_plus.lerp(bundle.generator.map(z), HALF_WAY)


def _state(learned: dict[str, torch.nn.Parameter], adam: torch.optim.Adam, step: int) -> State:
    weights = {name: tensor.detach().to("cpu", copy=True) for name, tensor in learned.items()}
    return {"step": torch.tensor(step), **weights, **adam_state(adam, "adam")}


def _restored(learned: dict[str, torch.nn.Parameter], adam: torch.optim.Adam, resume: State | None) -> int:
    """The step that a checkpoint goes on from; 0 without one."""
    if resume is None:
        return 0
    with torch.no_grad():
        for name, tensor in learned.items():
            tensor.copy_(resume[name])
    restore_adam(adam, resume, "adam")
    return int(resume["step"])
