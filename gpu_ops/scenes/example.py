"""The demo's picture: a scene that no model saw in training, as a camera and JPEG would deliver it.

python -m gpu_ops.scenes.example examples/car.jpg
"""

import sys
from pathlib import Path

from PIL import Image

from gpu_ops.scenes.cars import degrade, render, sample_scene
from gpu_ops.scenes.dataset import DEMO_SEEDS_FROM

SEED = DEMO_SEEDS_FROM + 10
SIZE_PX = 512
JPEG_QUALITY = 88


def main() -> None:
    picture, _ = render(sample_scene(SEED), SIZE_PX)
    Image.fromarray(degrade(picture, SEED)).save(Path(sys.argv[1]), "JPEG", quality=JPEG_QUALITY)


if __name__ == "__main__":
    main()
