"""A grid of samples as a PNG, to see how a run is doing."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gpu_ops.stylegan2.generator import Generator


def sample_grid(generator: Generator, seed: int, side: int = 8, truncation_psi: float = 1.0) -> Image.Image:
    """Draw side x side samples at codes that depend on the seed alone."""
    device = generator.mapping.w_avg.device
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn((side * side, generator.config.z_dim), generator=rng).to(device)
    with torch.no_grad():
        pictures = generator(z, truncation_psi).cpu()  # [side * side, 3, H, W]
    height, width = pictures.shape[2:]
    tiles = pictures.reshape(side, side, 3, height, width).permute(0, 3, 1, 4, 2)
    pixels = tiles.reshape(side * height, side * width, 3).numpy()
    return Image.fromarray(np.clip(np.rint((pixels + 1) * 127.5), 0, 255).astype(np.uint8))


def save_grid(path: Path, generator: Generator, seed: int) -> None:
    """Write the grid of a generator as a PNG."""
    sample_grid(generator, seed).save(path)
