"""The augmentation against transforms written apart; its probability; a resumed run with it."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from gpu_ops.stylegan2.generator import GeneratorConfig
from gpu_ops.training.augment import (
    INTERVAL,
    SYM6,
    Adaptive,
    Dice,
    augment,
    blit,
    blitting,
    colours,
    geometry,
    recolour,
    rotation,
    scaling,
    translation,
    warp,
)
from gpu_ops.training.generator import train
from gpu_ops.training.pictures import Pictures
from gpu_ops.training.state import TrainingConfig, TrainingState

SIZE = 32
ONE = torch.ones(1)
Change = Callable[[torch.Tensor], torch.Tensor]
TURN = rotation(torch.full((1,), math.pi / 2))
MIRROR = scaling(-ONE, ONE)


@pytest.fixture
def noise() -> torch.Tensor:
    return torch.rand(1, 3, SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def blob() -> torch.Tensor:
    """A smooth picture: a Gaussian off the centre."""
    return bump(lambda x, y: (x, y))


def bump(place: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """A Gaussian drawn where place() sends each pixel, so that its transforms are known exactly."""
    line = torch.arange(SIZE, dtype=torch.float64) + 0.5 - SIZE / 2
    y, x = torch.meshgrid(line, line, indexing="ij")
    x, y = place(x, y)
    return torch.exp(-((x - 3) ** 2 + (y + 2) ** 2) / 18).expand(1, 3, SIZE, SIZE)


def test_the_filter_is_orthonormal_to_its_even_shifts() -> None:
    taps = np.array(SYM6)
    assert taps.sum() == pytest.approx(math.sqrt(2), abs=1e-12)
    products = [float((taps[2 * k :] * taps[: len(taps) - 2 * k]).sum()) for k in range(6)]
    assert products == pytest.approx([1, 0, 0, 0, 0, 0], abs=1e-11)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (MIRROR, lambda x: x.flip(3)),
        (TURN, lambda x: torch.rot90(x, 1, (2, 3))),
        (TURN @ TURN @ MIRROR, lambda x: x.flip(2)),
        (translation(-3 * ONE, 2 * ONE), lambda x: rolled(x)),
    ],
)
def test_blitting_moves_whole_pixels_exactly(
    noise: torch.Tensor, matrix: torch.Tensor, expected: Change
) -> None:
    assert torch.equal(blit(noise, matrix), expected(noise))


def rolled(x: torch.Tensor) -> torch.Tensor:
    """Read 3 px to the left of, and 2 px below, each pixel; mirrored at the edge without repeating it."""
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (0, 2), (3, 0)), mode="reflect")
    return torch.from_numpy(padded[:, :, 2:, :SIZE].copy())


def test_a_warp_that_moves_nothing_changes_nothing(noise: torch.Tensor) -> None:
    torch.testing.assert_close(warp(noise, torch.eye(3)[None]), noise, rtol=0, atol=1e-10)


def test_a_warp_is_the_picture_drawn_elsewhere(blob: torch.Tensor) -> None:
    angle, across, down, scale = 0.4, 1.25, -2.6, 1.1
    sent = (
        rotation(torch.full((1,), angle)) @ scaling(scale * ONE, ONE) @ translation(across * ONE, down * ONE)
    )

    def place(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = (x + across) * scale, y + down
        return math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y

    inner = slice(8, -8)  # beyond the edge the Gaussian goes on, and the picture is mirrored
    difference = (warp(blob, sent) - bump(place))[:, :, inner, inner]
    assert float(difference.abs().max()) < 0.01
    assert float((blob - bump(place)).abs().max()) > 0.3


def test_a_warp_is_differentiable_and_its_gradient_is_its_transpose() -> None:
    """The warp is linear in the picture: <warp(a), b> = <a, gradient>."""
    a, b = (torch.randn(2, 3, 16, 16, dtype=torch.float64) for _ in range(2))
    matrix = rotation(torch.tensor([0.3, -1.0])) @ scaling(torch.tensor([0.7, 1.3]), torch.tensor([1.2, 0.8]))
    a.requires_grad_()
    product = (warp(a, matrix) * b).sum()
    (gradient,) = torch.autograd.grad(product, a)
    assert float((a * gradient).detach().sum()) == pytest.approx(float(product.detach()), rel=1e-9)


def test_colours_against_numpy(noise: torch.Tensor) -> None:
    """Every colour transform at p = 1, written apart from the drawn numbers of the same seed."""
    dice = Dice(1, 1.0, torch.Generator().manual_seed(4), torch.device("cpu"))
    got = recolour(noise * 2 - 1, colours(dice))[0].numpy()
    rng = torch.Generator().manual_seed(4)

    def drawn(normal: bool) -> float:
        value = float((torch.randn if normal else torch.rand)(1, generator=rng))
        torch.rand(1, generator=rng)  # whether it strikes
        return value

    x = noise[0].numpy().reshape(3, -1) * 2 - 1
    x = (x + 0.2 * drawn(True)) * 2 ** (0.5 * drawn(True))
    axis = np.ones(3) / math.sqrt(3)
    x = x - 2 * np.outer(axis, axis @ x) * math.floor(2 * drawn(False))
    angle = (2 * drawn(False) - 1) * math.pi
    along = np.outer(axis, axis @ x)
    x = along + math.cos(angle) * (x - along) + math.sin(angle) * np.cross(axis, x, axisb=0).T
    along = np.outer(axis, axis @ x)
    x = along + (x - along) * 2 ** drawn(True)
    np.testing.assert_allclose(got.reshape(3, -1), x, rtol=1e-5, atol=1e-5)


def test_each_transform_strikes_with_its_probability() -> None:
    count, p = 4000, 0.3
    dice = Dice(count, p, torch.Generator().manual_seed(1), torch.device("cpu"))
    eye = torch.eye(3)
    blitted, moved, coloured = blitting(dice, 64), geometry(dice, 64), colours(dice)
    # a mirror that strikes mirrors half the time, a turn turns in three of four; almost no shift is nought
    still = (1 - p / 2) * (1 - 3 * p / 4) * (1 - p)
    assert float((blitted - eye).abs().amax((1, 2)).lt(1e-6).float().mean()) == pytest.approx(still, abs=0.03)
    # either turn strikes with probability p: so all is still with (1 - p) for scale, turns, stretch, shift
    assert float((moved == eye).all(2).all(1).float().mean()) == pytest.approx((1 - p) ** 4, abs=0.03)
    still = (1 - p) ** 4 * (1 - p / 2)
    same = (coloured - torch.eye(4)[:3]).abs().amax((1, 2)) < 1e-5
    assert float(same.float().mean()) == pytest.approx(still, abs=0.03)


def test_nothing_is_augmented_at_p_0_and_a_seed_gives_the_same_at_any_other(noise: torch.Tensor) -> None:
    assert augment(noise, 0.0, torch.Generator()) is noise
    first, second = (augment(noise, 0.7, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, noise)


def test_the_probability_follows_the_signs() -> None:
    adaptive = Adaptive(target=0.6, kimg=1.0)
    for _ in range(INTERVAL):
        adaptive.note(0.9, batch=10)
    assert adaptive.p == pytest.approx(INTERVAL * 10 / 1000)
    for _ in range(3 * INTERVAL):
        adaptive.note(0.5, batch=10)
    assert adaptive.p == 0.0
    off = Adaptive(target=0.0, kimg=1.0)
    off.note(1.0, batch=10)
    assert (off.p, off.steps) == (0.0, 0)


def test_a_run_with_augmentation_that_was_cut_goes_on_to_the_same_bits() -> None:
    model = GeneratorConfig(16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=8)
    config = TrainingConfig(model=model, batch=4, ada_target=0.1, ada_kimg=0.05)
    shown = np.random.default_rng(1).integers(0, 256, (11, 16, 16, 3), dtype=np.uint8)
    unbroken = TrainingState(config)
    whole = list(train(unbroken, Pictures(shown), 6))
    assert max(progress.losses["augment_p"] for progress in whole) > 0
    halves = list(train(first := TrainingState(config), Pictures(shown), 5))
    assert halves[-1].state is not None
    second = TrainingState(config)
    second.restore(halves[-1].state())
    halves += train(second, Pictures(shown), 6)
    assert first.step == 5
    assert [progress.losses for progress in halves] == [progress.losses for progress in whole]
    expected, got = unbroken.tensors(), second.tensors()
    assert expected.keys() == got.keys()
    assert all(torch.equal(got[name], value) for name, value in expected.items())
