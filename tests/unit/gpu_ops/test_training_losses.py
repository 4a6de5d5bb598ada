"""The adversarial losses and their regularisers against their definitions, in float64."""

import math

import numpy as np
import pytest
import torch

from gpu_ops.errors import NonFiniteError
from gpu_ops.stylegan2.discriminator import Discriminator
from gpu_ops.stylegan2.generator import Generator, GeneratorConfig
from gpu_ops.training import adversarial
from gpu_ops.training.generator import train
from gpu_ops.training.pictures import Pictures
from gpu_ops.training.state import TrainingConfig, TrainingState

MODEL = GeneratorConfig(resolution=8, z_dim=4, w_dim=4, mapping_layers=2, channel_base=64, channel_max=6)


@pytest.fixture
def generator() -> Generator:
    return Generator(MODEL).double()


def test_the_two_losses_are_logistic() -> None:
    real, fake = torch.randn(2, 5, dtype=torch.float64)
    expected = np.log1p(np.exp(-real.numpy())).mean() + np.log1p(np.exp(fake.numpy())).mean()
    assert float(adversarial.discriminator_loss(real, fake)) == pytest.approx(expected)
    assert float(adversarial.generator_loss(fake)) == pytest.approx(np.log1p(np.exp(-fake.numpy())).mean())


def test_r1_is_half_gamma_times_the_squared_slope_at_real_pictures() -> None:
    discriminator = Discriminator(8, 64, 6).double()
    pictures = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    squares = torch.zeros(2, dtype=torch.float64)
    step = 1e-6
    with torch.no_grad():
        for place in range(pictures[0].numel()):
            for item in range(2):
                moved = torch.zeros_like(pictures)
                moved[item].view(-1)[place] = step
                # the deviation over the batch ties the items: the penalty takes the slope of the sum
                ahead, behind = (discriminator(pictures + sign * moved).sum() for sign in (1, -1))
                squares[item] += ((ahead - behind) / (2 * step)) ** 2
    penalty = adversarial.r1_penalty(discriminator, pictures, gamma=0.4)
    assert float(penalty.detach()) == pytest.approx(0.2 * float(squares.mean()), rel=1e-5)


def test_path_length_is_the_length_of_the_jacobian_product(generator: Generator) -> None:
    """The same random numbers, and the whole Jacobian of the picture."""
    w_plus = torch.randn(3, generator.num_ws, 4, dtype=torch.float64)
    rng = torch.Generator().manual_seed(3)
    mean = torch.tensor(0.7, dtype=torch.float64)
    got, new_mean = adversarial.path_length_penalty(generator, w_plus.requires_grad_(), mean, rng)

    def draw(code: torch.Tensor) -> torch.Tensor:
        picture: torch.Tensor = generator.synthesise(code, "random", torch.Generator().manual_seed(3)).picture
        return picture

    again = torch.Generator().manual_seed(3)
    generator.synthesise(w_plus, "random", again)
    direction = torch.randn((3, 3, 8, 8), generator=again) / 8  # the root of 8 x 8 pixels
    jacobian = torch.autograd.functional.jacobian(draw, w_plus)  # [N, 3, H, W, N, L, D]
    lengths = []
    for item in range(3):
        slope = torch.einsum("chw,chwld->ld", direction[item].double(), jacobian[item, :, :, :, item])
        lengths.append(math.sqrt(float(slope.square().sum(dim=1).mean())))
    moved = 0.7 + 0.01 * (np.mean(lengths) - 0.7)
    assert float(new_mean) == pytest.approx(moved)
    assert float(got.detach()) == pytest.approx(np.mean((np.array(lengths) - moved) ** 2))


def test_mixing_takes_the_later_layers_from_the_other_code(generator: Generator) -> None:
    z, other = torch.randn(2, 3, 4, dtype=torch.float64)
    mixed = adversarial.map_with_mixing(generator, z, other, cutoff=torch.tensor(2))
    assert torch.equal(mixed[:, :2], generator.map(z)[:, :2])
    assert torch.equal(mixed[:, 2:], generator.map(other)[:, 2:])
    none = adversarial.map_with_mixing(generator, z, other, cutoff=torch.tensor(generator.num_ws))
    assert torch.equal(none, generator.map(z))


def test_cutoffs_are_even_over_the_layers_and_as_frequent_as_asked() -> None:
    rng = torch.Generator().manual_seed(0)
    drawn = np.array([int(adversarial.draw_cutoff(10, 0.9, rng)) for _ in range(5000)])
    assert set(drawn) == set(range(1, 11))
    shares = np.bincount(drawn, minlength=11)[1:] / len(drawn)
    np.testing.assert_allclose(shares, 0.1, atol=0.02)


def test_w_avg_follows_the_codes(generator: Generator) -> None:
    w_plus = torch.randn(5, generator.num_ws, 4, dtype=torch.float64)
    adversarial.track_w_avg(generator, w_plus)
    torch.testing.assert_close(generator.mapping.w_avg, 0.005 * w_plus[:, 0].mean(dim=0))


def test_the_average_follows_the_generator_by_its_half_life() -> None:
    state = TrainingState(TrainingConfig(model=MODEL, batch=32))
    state.step = 100_000  # far past the warm-up: half-life of 10,000 pictures
    name = "synthesis.b4.const"
    before, now = (network.get_parameter(name).detach() for network in (state.average, state.generator))
    with torch.no_grad():
        now += 1
    expected = now - (now - before) * 0.5 ** (32 / 10_000)
    state.update_average()
    torch.testing.assert_close(state.average.get_parameter(name), expected)


def test_training_that_is_not_finite_ends() -> None:
    state = TrainingState(TrainingConfig(model=MODEL, batch=4, precision="fp32"))
    with torch.no_grad():
        state.generator.get_parameter("synthesis.b4.const").fill_(float("nan"))
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    with pytest.raises(NonFiniteError, match="step 0"):
        next(train(state, Pictures(noise), 3))
    with pytest.raises(ValueError, match="pictures of 16 px"):
        next(train(state, Pictures(noise.repeat(2, axis=1).repeat(2, axis=2)), 3))
