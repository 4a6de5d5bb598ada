"""Adversarial training of the generator, resumable to identical numbers.

python -m gpu_ops.training.generator --data DIR --out DIR --kimg 400
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import torch

from gpu_ops.errors import NonFiniteError
from gpu_ops.progress import Progress, Steps
from gpu_ops.recorded import Recorded, Tensors
from gpu_ops.training import adversarial
from gpu_ops.training.augment import augment
from gpu_ops.training.pictures import Pictures, step_seed
from gpu_ops.training.place import low_precision
from gpu_ops.training.state import PATH_LENGTH_INTERVAL, R1_INTERVAL, TrainingState


def train(state: TrainingState, pictures: Pictures, total: int) -> Steps[None]:
    """Train from state.step up to total steps, or until sent True, and change state in place.

    Yields Progress after each step; between two yields state may be saved. Losses, unitless: generator,
    discriminator, real_score, fake_score, real_sign, and r1 and path_length in the steps that have them;
    with augmentation also its probability, augment_p.
    Raises ValueError where the pictures have another size than the model; NonFiniteError, after which
    the state is spoilt and its last checkpoint is the way back.
    Source: Karras et al. 2020 (StyleGAN2). Departure: with shared_fakes the two networks are updated
    from the same fakes at once, where the published order draws fakes for each in turn; that saves a
    sixth of the work.
    """
    if pictures.resolution != state.config.model.resolution:
        raise ValueError(f"pictures of {pictures.resolution} px for {state.config.model}")
    work = _Work(state)
    while state.step < total:
        losses = _step(state, pictures, work)
        if not all(math.isfinite(value) for value in losses.values()):
            raise NonFiniteError(f"step {state.step}: {losses}")
        state.update_average()
        state.step += 1
        enough = yield Progress(state.step, total, losses, state=state.tensors)
        if enough:
            return


class _Work:
    """The parts of a step, each recorded where a GPU does it; not with augmentation, whose work differs."""

    def __init__(self, state: TrainingState) -> None:
        both = _both_at_once if state.config.shared_fakes else _one_after_the_other
        self.both = self._recorded(state, partial(both, state))
        self.path_length = self._recorded(state, partial(_path_length_step, state))
        self.r1 = self._recorded(state, partial(_r1_step, state))

    def _recorded(self, state: TrainingState, work: Callable[..., Tensors]) -> Callable[..., Tensors]:
        if state.config.ada_target:
            return work
        return Recorded(work, state.device, rng=state.rng)


def _step(state: TrainingState, pictures: Pictures, work: _Work) -> dict[str, float]:
    config = state.config
    state.rng.manual_seed(step_seed(config.seed, state.step, state.ranks.rank))
    real = pictures.batch(config.seed, state.step, config.batch, state.ranks, state.device)
    losses = work.both(real)
    if config.pl_weight and state.step % PATH_LENGTH_INTERVAL == 0:
        losses |= work.path_length()
    if state.step % R1_INTERVAL == 0:
        losses |= work.r1(real)
    state.ranks.average([state.generator.mapping.w_avg, losses["real_sign"]])
    values = torch.stack([value.float() for value in losses.values()]).tolist()  # the one wait for the device
    numbers = dict(zip(losses, values, strict=True))
    if config.ada_target:
        numbers["augment_p"] = state.augmentation.p
        state.augmentation.note(numbers["real_sign"], config.batch)
    return numbers


def _autocast(state: TrainingState) -> AbstractContextManager[None]:
    return low_precision(state.device, asked=state.config.precision == "bf16")


def _fakes(state: TrainingState) -> torch.Tensor:
    config = state.config
    count = state.ranks.share(config.batch)
    w_plus = adversarial.sample_w_plus(state.generator, count, config.style_mixing, state.rng)
    adversarial.track_w_avg(state.generator, w_plus)
    return state.generator.synthesise(w_plus, "random", state.rng).picture


def _seen(state: TrainingState, pictures: torch.Tensor) -> torch.Tensor:
    """Pictures [N, 3, H, W] as the discriminator sees them: it never sees them as they are."""
    return augment(pictures, state.augmentation.p, state.rng)


def _both_at_once(state: TrainingState, real: torch.Tensor) -> Tensors:
    with _autocast(state):
        fake = _fakes(state)  # [N, 3, H, W]
        seen = fake.detach().requires_grad_()
        fake_scores = state.discriminator(_seen(state, seen))
        generator_loss = adversarial.generator_loss(fake_scores)
        # the scores' graph serves both losses: one for the picture's gradient, one for the weights'
        (gradient,) = torch.autograd.grad(generator_loss, seen, retain_graph=True)
        real_scores = state.discriminator(_seen(state, real))
        loss = adversarial.discriminator_loss(real_scores, fake_scores)
    torch.autograd.backward(loss, inputs=list(state.discriminator.parameters()))
    _finish(state, state.discriminator_adam)
    torch.autograd.backward(fake, gradient)
    _finish(state, state.generator_adam)
    return _losses(generator_loss, loss, real_scores, fake_scores)


def _one_after_the_other(state: TrainingState, real: torch.Tensor) -> Tensors:
    state.discriminator.requires_grad_(False)
    with _autocast(state):
        seen = _seen(state, _fakes(state))
        generator_loss = adversarial.generator_loss(state.discriminator(seen))
    torch.autograd.backward(generator_loss)
    state.discriminator.requires_grad_(True)
    _finish(state, state.generator_adam)
    with _autocast(state):
        with torch.no_grad():
            fake = _seen(state, _fakes(state))
        fake_scores = state.discriminator(fake)
        real_scores = state.discriminator(_seen(state, real))
        loss = adversarial.discriminator_loss(real_scores, fake_scores)
    torch.autograd.backward(loss)
    _finish(state, state.discriminator_adam)
    return _losses(generator_loss, loss, real_scores, fake_scores)


def _losses(
    generator: torch.Tensor, discriminator: torch.Tensor, real: torch.Tensor, fake: torch.Tensor
) -> Tensors:
    return {
        "generator": generator.detach(),
        "discriminator": discriminator.detach(),
        "real_score": real.detach().mean(),
        "fake_score": fake.detach().mean(),
        "real_sign": real.detach().sign().mean(),
    }


def _path_length_step(state: TrainingState) -> Tensors:
    config = state.config
    with _autocast(state):
        w_plus = adversarial.sample_w_plus(
            state.generator, state.ranks.share(config.batch // 2), config.style_mixing, state.rng
        )
        penalty, mean_length = adversarial.path_length_penalty(
            state.generator, w_plus, state.mean_length, state.rng
        )
    state.mean_length.copy_(mean_length)
    state.ranks.average([state.mean_length])
    torch.autograd.backward(penalty * (config.pl_weight * PATH_LENGTH_INTERVAL))
    _finish(state, state.generator_adam)
    return {"path_length": penalty.detach()}


def _r1_step(state: TrainingState, real: torch.Tensor) -> Tensors:
    # outside autocast: squared gradients of single pixels are too small for low precision
    penalty = adversarial.r1_penalty(state.discriminator, _seen(state, real), state.config.gamma)
    torch.autograd.backward(penalty * R1_INTERVAL)
    _finish(state, state.discriminator_adam)
    return {"r1": penalty.detach()}


def _finish(state: TrainingState, adam: torch.optim.Adam) -> None:
    slopes = (weight.grad for group in adam.param_groups for weight in group["params"])
    state.ranks.average(slope for slope in slopes if slope is not None)
    adam.step()
    adam.zero_grad(set_to_none=True)


if __name__ == "__main__":
    from gpu_ops.training.commands import main

    main()
