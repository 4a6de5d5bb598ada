"""What lies between a scene and a picture file: a camera and JPEG."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Pixels = npt.NDArray[np.uint8]


def degrade(picture: Pixels, seed: int) -> Pixels:
    """What a camera and JPEG would do: blur, exposure, white balance, noise, compression.

    picture [H, W, 3] uint8, not modified. Returns the same shape and type; mild, so that what
    is shown stays recognisable. Deterministic by seed and picture.
    """
    rng = np.random.default_rng([0xDE6, seed])
    scale = picture.shape[0] / 64.0
    image = Image.fromarray(picture)
    image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.15, 0.45)) * scale))
    light = np.asarray(image, dtype=np.float64)
    light = light * rng.uniform(0.93, 1.07) * rng.uniform(0.97, 1.03, size=3)
    light = light + rng.normal(0.0, rng.uniform(1.0, 3.0), size=picture.shape)
    image = Image.fromarray(np.clip(np.rint(light), 0, 255).astype(np.uint8))
    stored = io.BytesIO()
    image.save(stored, format="JPEG", quality=int(rng.integers(75, 93)))
    return np.array(Image.open(stored).convert("RGB"))
