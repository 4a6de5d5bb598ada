"""A row of samples, to see that an imported generator draws what it should."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gpu_ops.importers.refusals import LayoutMismatch
from gpu_ops.picture import to_uint8
from gpu_ops.stylegan2.generator import Generator

MOST_PICTURES, MOST_PIXELS, SIZE_PX, PSI = 4, 1024, 256, 0.7


@torch.no_grad()
def save_preview(path: Path, generator: Generator) -> None:
    """Write samples as a PNG. Raises LayoutMismatch where they are no pictures."""
    # as many as come to the width of one picture of 1024 px, which takes a CPU some seconds
    count = min(MOST_PICTURES, max(1, MOST_PIXELS // generator.config.resolution))
    z = torch.randn(count, generator.config.z_dim, generator=torch.Generator().manual_seed(0))
    tiles = []
    for one in z:
        picture = generator(one[None], PSI)  # [1, 3, R, R]
        if not bool(picture.isfinite().all()):
            raise LayoutMismatch("a sample of the generator holds values that are infinite or no numbers")
        image = Image.fromarray(to_uint8(picture)[0])
        image.thumbnail((SIZE_PX, SIZE_PX))
        tiles.append(np.asarray(image))
    Image.fromarray(np.concatenate(tiles, axis=1)).save(path)
