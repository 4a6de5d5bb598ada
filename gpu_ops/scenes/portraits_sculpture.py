"""A face carved in marble: one material, blank eyes, locks of hair in relief, raking light."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from gpu_ops.scenes.canvas import Canvas, Colour, Pixels, Points
from gpu_ops.scenes.faces_head import Layer
from gpu_ops.scenes.faces_parts import PART_IDS
from gpu_ops.scenes.faces_scene import Scene

Height = npt.NDArray[np.float32]  # [S, S]

_STONES: tuple[Colour, ...] = ((232, 226, 214), (204, 206, 210), (196, 150, 96))  # marble, limestone, bronze
_WALLS: tuple[Colour, ...] = ((62, 64, 72), (96, 84, 78), (40, 52, 60))

# How far a layer stands out from the block, 0 to 255; the others add nothing.
_RELIEF: dict[str, int] = {
    **{"hair_back": 70, "tail": 80, "bun": 110, "hair": 164, "curl": 168},
    **{"neck": 70, "clothes": 84, "trim": 92, "collar": 100, "ear": 96, "ear_inside": 78},
    **{"face": 128, "nose": 168, "nose_under": 128, "nostril": 84, "smile_line": 114},
    **{"lid": 142, "white": 124, "iris_rim": 112, "iris": 124, "pupil": 92, "lash": 146, "brow": 152},
    **{"upper_lip": 148, "lower_lip": 154, "mouth_line": 104, "mouth_inside": 60, "teeth": 116},
    **{"frame": 176, "bridge": 176, "temple": 160},
}


def sculpture(scene: Scene, shapes: list[Layer], size_px: int, supersample: int) -> tuple[Pixels, Pixels]:
    """Picture [size_px, size_px, 3] and mask [size_px, size_px] of a scene's shapes in stone."""
    rng = np.random.default_rng([0x5707E, scene.seed])
    side = size_px * supersample
    blank = np.zeros((side, side, 3), dtype=np.uint8)
    canvas = Canvas(blank, np.full((side, side), PART_IDS["background"], dtype=np.uint8))
    for layer in shapes:
        height = _RELIEF.get(layer.name)
        if height is not None:
            canvas.polygon(_classical(scene, layer), layer.part, (height, height, height))
    stone, wall = _STONES[rng.integers(3)], _WALLS[rng.integers(3)]
    canvas.picture = _carved(scene, canvas, stone, wall, rng)
    return canvas.reduced(supersample)


def _classical(scene: Scene, layer: Layer) -> Points:
    """A longer, narrower face with a strong straight nose, heavier lids and a smaller mouth."""
    points = layer.points.copy()
    x, y = points[:, 0] - scene.centre_x, points[:, 1] - scene.centre_y
    if layer.name.startswith("nos"):
        x = x * 1.12
        y = np.where(y < 0.0, y * 3.2, y)  # one line with the forehead
    if layer.part in (PART_IDS["upper_lip"], PART_IDS["lower_lip"]) or layer.name.startswith(
        ("mouth", "teeth")
    ):
        x = x * 0.9
    below = np.clip(y / 0.4, 0.0, 1.5)
    return np.stack([scene.centre_x + 0.93 * x, scene.centre_y + y * 1.02 + 0.018 * below], axis=1)


def _carved(
    scene: Scene, canvas: Canvas, stone: Colour, wall: Colour, rng: np.random.Generator
) -> Image.Image:
    """The canvas's heights, rounded off and lit from the side, in the colour of the stone."""
    side = canvas.size_px
    line = (np.arange(side, dtype=np.float32) + 0.5) / side
    x, y = line[None, :] - np.float32(scene.centre_x), line[:, None] - np.float32(scene.centre_y)
    shade = _lit(_height(scene, canvas, x, y), 1.0 if scene.light_side > 0 else -1.0)
    veins = np.exp(-((np.sin(9.0 * x + 6.0 * y + 2.0 * np.sin(7.0 * y + rng.uniform(0.0, 6.0))) / 0.16) ** 2))
    carved = np.array(stone, np.float32) * (shade * (1.0 - 0.06 * veins))[:, :, None]
    behind = np.array(wall, np.float32) * (1.15 - 0.5 * line)[:, None, None]
    block = np.asarray(canvas.labels) != PART_IDS["background"]
    picture = np.where(block[:, :, None], carved, behind)
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def _height(scene: Scene, canvas: Canvas, x: Height, y: Height) -> Height:
    """How far the stone stands out, in the picture's units: parts, the head's dome, locks of hair."""
    unit = canvas.size_px / 64.0
    flat = np.asarray(canvas.picture.getchannel(0), dtype=np.float32) / 255.0
    fine, broad = (ndimage.gaussian_filter(flat, sigma * unit) for sigma in (0.55, 2.6))
    dome = np.sqrt(np.maximum(1.0 - (x / 0.54) ** 2 - ((y - 0.02) / 0.62) ** 2, 0.02))
    height = 0.12 * fine + 0.16 * broad + 0.17 * dome + _locks(scene, canvas, x, y)
    return np.asarray(height, dtype=np.float32)


def _lit(height: Height, toward: float) -> Height:
    """Brightness of a relief in light from above and from one side (toward -1 left, 1 right)."""
    rise, run = np.gradient(height, 1.0 / height.shape[0])
    facing = (-0.6 * toward * run + 0.35 * rise + 0.72) / np.sqrt(run**2 + rise**2 + 1.0)
    return np.asarray(0.1 + 1.15 * np.clip(facing, 0.1, 1.0), dtype=np.float32)


def _locks(scene: Scene, canvas: Canvas, x: Height, y: Height) -> Height:
    """Grooves in the hair, from the crown downwards."""
    hair = np.asarray(canvas.labels) == PART_IDS["hair"]
    turn = np.arctan2(x - np.float32(0.12 * scene.parting), y + np.float32(0.62))
    grooves = 0.0055 * np.sin(turn * 26.0 + 2.0 * np.sin(14.0 * y + 4.0 * x))
    return np.asarray(np.where(hair, grooves, 0.0), dtype=np.float32)
