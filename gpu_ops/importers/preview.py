"""Samples, to see that an imported generator draws what it should."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gpu_ops.importers.refusals import LayoutMismatch
from gpu_ops.picture import Picture, to_uint8
from gpu_ops.stylegan2.generator import Generator

MOST_PICTURES, MOST_PIXELS, SIZE_PX, PSI = 4, 1024, 256, 0.7


def save_preview(path: Path, generator: Generator) -> None:
    """Write a row of samples as a PNG. Raises LayoutMismatch where they are no pictures."""
    # as many as come to the width of one picture of 1024 px, which takes a CPU some seconds
    count = min(MOST_PICTURES, max(1, MOST_PIXELS // generator.config.resolution))
    Image.fromarray(np.concatenate(list(samples(generator, count)), axis=1)).save(path)


def samples(generator: Generator, count: int) -> Iterator[Picture]:
    """Pictures uint8 [S, S, 3] at psi 0.7, S = 256 at most: always the same. Raises LayoutMismatch."""
    z = torch.randn(count, generator.config.z_dim, generator=torch.Generator().manual_seed(0))
    for one in z.to(generator.mapping.w_avg.device):
        with torch.no_grad():
            picture = generator(one[None], PSI)  # [1, 3, R, R]
        if not bool(picture.isfinite().all()):
            raise LayoutMismatch("a sample of the generator holds values that are infinite or no numbers")
        image = Image.fromarray(to_uint8(picture)[0])
        image.thumbnail((SIZE_PX, SIZE_PX))
        yield np.asarray(image)
