"""The adversarial losses of StyleGAN2 and their two regularisers.

Source: Karras et al. 2020; R1 from Mescheder et al. 2018. Departures: none in the terms; train() says
what differs in the order of the updates.
"""

import math

import torch
import torch.nn.functional as F

from gpu_ops.stylegan2.discriminator import Discriminator
from gpu_ops.stylegan2.generator import Generator

W_AVG_DECAY = 0.995
PATH_LENGTH_DECAY = 0.01


def map_with_mixing(
    generator: Generator, z: torch.Tensor, other_z: torch.Tensor, cutoff: torch.Tensor
) -> torch.Tensor:
    """Map z [N, Z] to w_plus [N, L, D], whose layers from cutoff [] on come from other_z [N, Z]."""
    first = torch.arange(generator.num_ws, device=z.device) < cutoff  # [L]
    return torch.where(first[:, None], generator.map(z), generator.map(other_z))


def draw_cutoff(num_ws: int, probability: float, rng: torch.Generator) -> torch.Tensor:
    """Return the first layer of the other code, in [1, num_ws); num_ws, for none, otherwise. A scalar."""
    mixes, place = torch.rand(2, generator=rng, device=rng.device)
    layer = 1 + (place * (num_ws - 1)).floor()
    return torch.where(mixes < probability, layer, float(num_ws))


def sample_w_plus(generator: Generator, count: int, mixing: float, rng: torch.Generator) -> torch.Tensor:
    """Draw w_plus [count, L, D] of random codes, mixing styles with the given probability."""
    z, other_z = torch.randn((2, count, generator.config.z_dim), generator=rng, device=rng.device).unbind()
    return map_with_mixing(generator, z, other_z, draw_cutoff(generator.num_ws, mixing, rng))


def track_w_avg(generator: Generator, w_plus: torch.Tensor) -> None:
    """Move w_avg towards the mean of the first layer's w of w_plus [N, L, D]."""
    mean = w_plus[:, 0].detach().mean(dim=0)
    generator.mapping.w_avg.lerp_(mean, 1 - W_AVG_DECAY)


def r1_penalty(discriminator: Discriminator, pictures: torch.Tensor, gamma: float) -> torch.Tensor:
    """Return gamma / 2 times the mean squared gradient of the score at real pictures [N, 3, H, W]."""
    pictures = pictures.detach().requires_grad_()
    scores = discriminator(pictures)
    (gradient,) = torch.autograd.grad(scores.sum(), pictures, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean() * (gamma / 2)


def path_length_penalty(
    generator: Generator,
    w_plus: torch.Tensor,
    mean_length: torch.Tensor,
    rng: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the path length penalty of w_plus [N, L, D], and the new mean length, a scalar.

    The length is how far a random picture direction moves with w_plus; deviations from the running
    mean are punished.
    """
    picture = generator.synthesise(w_plus, "random", rng).picture
    direction = torch.randn(picture.shape, generator=rng, device=picture.device)
    direction = direction / math.sqrt(picture.shape[2] * picture.shape[3])
    (gradient,) = torch.autograd.grad((picture * direction).sum(), w_plus, create_graph=True)
    lengths = gradient.square().sum(dim=2).mean(dim=1).sqrt()  # [N]
    mean_length = mean_length.lerp(lengths.detach().mean(), PATH_LENGTH_DECAY)
    return (lengths - mean_length).square().mean(), mean_length


def generator_loss(fake_scores: torch.Tensor) -> torch.Tensor:
    """Return the non-saturating loss of the generator."""
    return F.softplus(-fake_scores).mean()


def discriminator_loss(real_scores: torch.Tensor, fake_scores: torch.Tensor) -> torch.Tensor:
    """Return the logistic loss of the discriminator."""
    return F.softplus(-real_scores).mean() + F.softplus(fake_scores).mean()
