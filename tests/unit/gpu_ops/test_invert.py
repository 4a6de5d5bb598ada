"""Inversion on a random model: what it descends on, what it leaves alone, and how it goes on."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import lpips
import numpy as np
import pytest
import torch
from operation import finish

from gpu_ops.bundle import Bundle
from gpu_ops.errors import IncompleteModelError, NonFiniteError, ShapeError
from gpu_ops.invert import invert, learning_rate
from gpu_ops.metrics import psnr_db
from gpu_ops.patience import Patience
from gpu_ops.picture import Picture, to_tensor, to_uint8
from gpu_ops.training.encoder import encoder_for

Codes = Callable[..., torch.Tensor]


@pytest.fixture(scope="module")
def pictures(tiny: Bundle, codes: Codes) -> Picture:
    """Three pictures that the model can draw."""
    return to_uint8(tiny.draw(codes(3, seed=4))[0])


@pytest.mark.parametrize("steps", [1, 2, 20, 100, 500])
def test_the_rate_ramps_up_over_a_twentieth_and_down_over_the_last_quarter(steps: int) -> None:
    rates = [learning_rate(step, steps, 0.1) for step in range(steps)]
    for step, rate in enumerate(rates):
        up = min(1.0, (step + 1) / (0.05 * steps))
        left = min(1.0, (steps - step) / (0.25 * steps))
        assert rate == pytest.approx(0.1 * up * (1 - math.cos(math.pi * left)) / 2)
    assert all(rate > 0 for rate in rates)
    assert max(rates) == pytest.approx(0.1)
    if steps >= 100:
        middle = rates[steps // 20 - 1 : steps * 3 // 4 + 1]
        assert middle == pytest.approx([0.1] * len(middle))
        assert all(a > b for a, b in pairwise(rates[steps * 3 // 4 :]))


def test_it_starts_at_the_mean_code_and_the_loss_is_the_one_documented(
    tiny: Bundle, pictures: Picture
) -> None:
    progress = next(invert(tiny, pictures, steps=5))
    generator = tiny.generator
    with torch.no_grad():
        start = generator.mapping.w_avg.expand(3, generator.num_ws, -1)
        drawn, target = generator.synthesise(start).picture, to_tensor(pictures)
        perceptual = tiny.perceptual.lpips(drawn, target).flatten()
    error = np.mean(((drawn - target) / 2).numpy().astype(np.float64) ** 2)
    assert isinstance(tiny.perceptual.lpips, lpips.LPIPS)
    assert progress.losses["lpips"] == pytest.approx(float(perceptual.mean()), rel=1e-4)
    assert progress.losses["mse"] == pytest.approx(error, rel=1e-4)
    total = 10 * progress.losses["lpips"] + progress.losses["mse"]
    assert progress.losses["total"] == pytest.approx(total, rel=1e-5)


@pytest.mark.thorough
def test_losses_fall_and_the_result_is_what_was_found(tiny: Bundle, pictures: Picture) -> None:
    steps, result = finish(invert(tiny, pictures, steps=40))
    assert [(p.step, p.total) for p in steps] == [(n, 40) for n in range(1, 41)]
    assert steps[-1].losses["total"] < 0.8 * steps[0].losses["total"]
    for first, last in zip(result.losses_first, result.losses_last, strict=True):
        assert last < 0.8 * first
    assert result.w_plus.shape == (3, tiny.generator.num_ws, 16)
    assert not result.w_plus.requires_grad
    drawn, masks = tiny.draw(result.w_plus)
    assert np.array_equal(result.pictures, to_uint8(drawn))
    assert np.array_equal(result.masks, masks.numpy())
    expected = [psnr_db(mine, theirs) for mine, theirs in zip(result.pictures, pictures, strict=True)]
    assert result.psnr_db == pytest.approx(expected)
    preview = steps[-1].preview
    assert preview is not None
    assert (preview().shape, preview().dtype) == ((3, 32, 32, 3), np.uint8)


@pytest.mark.thorough
def test_a_prior_is_a_documented_loss_and_keeps_codes_nearer_the_mean(encoded: Bundle) -> None:
    """Pictures that no code draws: noise."""
    noise = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    assert encoded.encoder is not None
    away = (encoded.encoder(to_tensor(noise)) - encoded.generator.mapping.w_avg).detach()
    expected = float(((away @ encoded.prior.whiten) ** 2).mean())
    first = next(invert(encoded, noise, steps=20, lambda_prior=0.5))
    assert first.losses["prior"] == pytest.approx(expected, rel=1e-4)
    total = 10 * first.losses["lpips"] + first.losses["mse"] + 0.5 * first.losses["prior"]
    assert first.losses["total"] == pytest.approx(total, rel=1e-5)
    steps, free = finish(invert(encoded, noise, steps=20))
    _, held = finish(invert(encoded, noise, steps=20, lambda_prior=0.5))
    assert "prior" not in steps[0].losses
    mean = encoded.generator.mapping.w_avg
    far, near = (encoded.prior.penalty(found.w_plus - mean).max() for found in (free, held))
    assert near < 0.5 * far


def test_no_network_changes(tiny: Bundle, pictures: Picture) -> None:
    networks = (tiny.generator, tiny.segmenter, tiny.perceptual)
    before = [{k: v.clone() for k, v in network.state_dict().items()} for network in networks]
    finish(invert(tiny, pictures[:1], steps=3))
    for network, copies in zip(networks, before, strict=True):
        assert all(torch.equal(tensor, copies[name]) for name, tensor in network.state_dict().items())
        assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.thorough
@pytest.mark.parametrize("cut", [1, 5, 9])
def test_a_cut_and_a_restart_change_no_bit(tiny: Bundle, pictures: Picture, cut: int) -> None:
    steps, whole = finish(invert(tiny, pictures[:2], steps=10))
    run = invert(tiny, pictures[:2], steps=10)
    for _ in range(cut):
        progress = next(run)
    assert progress.state is not None
    kept = progress.state()
    run.close()
    rest, resumed = finish(invert(tiny, pictures[:2], steps=10, resume=kept))
    assert [p.step for p in rest] == list(range(cut + 1, 11))
    assert [p.losses for p in rest] == [p.losses for p in steps[cut:]]
    assert torch.equal(resumed.w_plus, whole.w_plus)
    assert np.array_equal(resumed.pictures, whole.pictures)
    assert (resumed.losses_first, resumed.losses_last) == (whole.losses_first, whole.losses_last)


@pytest.mark.thorough
def test_pictures_together_equal_each_alone(tiny64: Bundle, pictures: Picture) -> None:
    _, together = finish(invert(tiny64, pictures, steps=8))
    for item in range(3):
        _, alone = finish(invert(tiny64, pictures[item : item + 1], steps=8))
        torch.testing.assert_close(alone.w_plus[0], together.w_plus[item], rtol=1e-6, atol=1e-6)
        assert alone.losses_last[0] == pytest.approx(together.losses_last[item], rel=1e-6)


@pytest.mark.parametrize("shape", [(1, 16, 16, 3), (1, 32, 16, 3), (1, 32, 32), (32, 32, 3), (1, 32, 32, 4)])
def test_pictures_of_another_shape_are_refused_before_the_first_step(
    tiny: Bundle, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ShapeError, match="32"):
        next(invert(tiny, np.zeros(shape, np.uint8)))


def test_a_checkpoint_of_another_size_is_refused(tiny: Bundle, pictures: Picture) -> None:
    progress = next(invert(tiny, pictures[:2], steps=3))
    assert progress.state is not None
    with pytest.raises(ShapeError):
        next(invert(tiny, pictures[:1], steps=3, resume=progress.state()))


def test_a_loss_that_is_not_finite_ends_it(tiny64: Bundle, pictures: Picture) -> None:
    tiny64.generator.mapping.w_avg.fill_(float("nan"))
    with pytest.raises(NonFiniteError, match="step 1"):
        next(invert(tiny64, pictures[:1]))


@pytest.fixture(scope="module")
def encoded(tiny: Bundle) -> Bundle:
    """The model with an encoder, untrained and far from w_avg."""
    torch.manual_seed(1)
    encoder = encoder_for(tiny, width=8, widest=16, pyramid=8)
    with torch.no_grad():
        for head in encoder.heads:
            head.out.weight.mul_(20)
    return replace(tiny, encoder=encoder.eval().requires_grad_(False))


def test_it_starts_at_the_encoder_s_guess_where_there_is_one(encoded: Bundle, pictures: Picture) -> None:
    assert encoded.encoder is not None
    guess = encoded.encoder(to_tensor(pictures))
    for start in (None, "encoder"):
        progress = next(invert(encoded, pictures, steps=5, start=start))
        assert progress.state is not None
        assert torch.equal(progress.state()["best"], guess)
    _, found = finish(invert(encoded, pictures, steps=1))
    _, mean = finish(invert(encoded, pictures, steps=1, start="w_avg"))
    assert (found.start, mean.start) == ("encoder", "w_avg")
    assert torch.equal(mean.w_plus, encoded.generator.mapping.w_avg.expand_as(mean.w_plus))


def test_an_encoder_that_is_not_there_is_refused(tiny: Bundle, pictures: Picture) -> None:
    with pytest.raises(IncompleteModelError, match="encoder"):
        next(invert(tiny, pictures, start="encoder"))


@pytest.mark.thorough
def test_it_ends_once_the_loss_no_longer_improves(tiny: Bundle, pictures: Picture) -> None:
    """At a rate too small to improve anything by 1 %, after as many steps as were granted."""
    steps, ended = finish(invert(tiny, pictures, steps=50, lr=1e-6, patience=4))
    assert (len(steps), ended.steps, ended.complete) == (5, 5, True)
    steps, whole = finish(invert(tiny, pictures, steps=12, lr=1e-6))
    assert (len(steps), whole.complete) == (12, True)
    _, improving = finish(invert(tiny, pictures, steps=12, patience=4))
    assert improving.steps == 12


def test_patience_is_over_at_the_same_step_after_a_restart(tiny: Bundle, pictures: Picture) -> None:
    run = invert(tiny, pictures, steps=50, lr=1e-6, patience=4)
    for _ in range(3):
        progress = next(run)
    assert progress.state is not None
    rest, ended = finish(invert(tiny, pictures, steps=50, lr=1e-6, patience=4, resume=progress.state()))
    assert [p.step for p in rest] == [4, 5]
    assert ended.complete


def test_patience_waits_for_the_slowest_picture() -> None:
    patience = Patience(3, items=2)
    for step, best in enumerate([(1.0, 1.0), (1.0, 0.9), (1.0, 0.8), (1.0, 0.799), (1.0, 0.798)], start=1):
        patience.note(torch.tensor(best), step)
        assert not patience.over(step)
    patience.note(torch.tensor([1.0, 0.797]), 6)
    assert patience.over(6)
