"""Draw docs/faces.png: people of the domain of faces, their masks, and portraits of them in three styles.

python docs/faces.py
"""

from pathlib import Path

import numpy as np
from PIL import Image

from gpu_ops.scenes.faces import COLOURS, render, sample_scene
from gpu_ops.scenes.portraits import STYLES
from gpu_ops.scenes.portraits import render as render_portrait
from gpu_ops.scenes.seeds import DEMO_SEEDS_FROM

SEEDS = tuple(DEMO_SEEDS_FROM + 13 * index for index in range(8))
SIZE_PX = 96


def main() -> None:
    scenes = [sample_scene(seed) for seed in SEEDS]
    drawn = [render(scene, SIZE_PX) for scene in scenes]
    rows = [
        [picture for picture, _ in drawn],
        [np.array(COLOURS, np.uint8)[mask] for _, mask in drawn],
        *([render_portrait(scene, style, SIZE_PX)[0] for scene in scenes] for style in STYLES),
    ]
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    Image.fromarray(sheet).save(Path(__file__).parent / "faces.png", optimize=True)


if __name__ == "__main__":
    main()
