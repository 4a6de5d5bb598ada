"""Blur, noise, compression and recolouring, so that a network reads more than perfect renders."""

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from gpu_ops.picture import to_tensor, to_uint8


def spoil(pictures: torch.Tensor, rng: np.random.Generator, noise: torch.Generator) -> torch.Tensor:
    """Spoil about three in four of pictures [N, 3, H, W] in [-1, 1]; each fault strikes on its own."""
    count = len(pictures)
    tint = torch.from_numpy(rng.uniform(0.85, 1.15, (count, 3, 1, 1))).float()
    shift = torch.from_numpy(rng.uniform(-0.12, 0.12, (count, 1, 1, 1))).float()
    grain = torch.randn(pictures.shape, generator=noise)
    grain = grain * torch.from_numpy(rng.uniform(0, 0.08, (count, 1, 1, 1))).float()
    pictures = torch.where(_some(rng, count, 0.4), pictures * tint + shift, pictures)
    for radius, share in ((0.6, 0.25), (1.0, 0.2)):
        pictures = torch.where(_some(rng, count, share), blur(pictures, radius), pictures)
    pictures = torch.where(_some(rng, count, 0.4), pictures + grain, pictures).clamp(-1, 1)
    return torch.where(_some(rng, count, 0.25), compress(pictures, int(rng.integers(40, 92))), pictures)


def blur(pictures: torch.Tensor, deviation_px: float) -> torch.Tensor:
    """Gaussian blur of pictures [N, 3, H, W], five taps each way."""
    taps = torch.exp(-0.5 * (torch.arange(-2.0, 3.0) / deviation_px) ** 2)
    taps = (taps / taps.sum()).expand(3, 1, 1, 5)
    padded = F.pad(pictures, (2, 2, 2, 2), mode="replicate")
    across = F.conv2d(padded, taps, groups=3)
    return F.conv2d(across, taps.transpose(2, 3), groups=3)


def compress(pictures: torch.Tensor, quality: int) -> torch.Tensor:
    """Pictures [N, 3, H, W] through JPEG."""
    done = []
    for picture in to_uint8(pictures):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=quality)
        done.append(np.asarray(Image.open(file)))
    return to_tensor(np.stack(done))


def _some(rng: np.random.Generator, count: int, share: float) -> torch.Tensor:
    return torch.from_numpy(rng.random((count, 1, 1, 1)) < share)
