"""A face broken into planes: angular shapes, halves seen from two sides, flat facets, thick contours."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from gpu_ops.scenes.canvas import Canvas, Colour, Pixels, Points
from gpu_ops.scenes.faces_head import PIXEL, Layer
from gpu_ops.scenes.faces_parts import PART_IDS
from gpu_ops.scenes.faces_scene import Scene

_PALETTES: tuple[tuple[Colour, ...], ...] = (
    ((226, 168, 92), (92, 128, 168), (214, 112, 84), (238, 222, 186), (84, 108, 92)),
    ((210, 190, 150), (150, 120, 84), (110, 96, 80), (232, 220, 196), (176, 148, 108)),
    ((240, 176, 160), (96, 160, 172), (246, 214, 120), (150, 96, 140), (232, 232, 226)),
)
_CORNERS = {"face": 11, "hair": 16, "nose": 7, "hair_back": 8, "neck": 6, "ear": 6, "curl": 5, "bun": 6}
_LINE: Colour = (26, 22, 26)
_LINED = (
    "face",
    "hair",
    "nose",
    "ear",
    "neck",
    "clothes",
    "brow",
    "white",
    "iris_rim",
    "upper_lip",
    "lower_lip",
    "hair_back",
    "curl",
    "bun",
    "tail",
    "lid",
    "mouth_inside",
    "collar",
)


def cubist(scene: Scene, shapes: list[Layer], size_px: int, supersample: int) -> tuple[Pixels, Pixels]:
    """Picture [size_px, size_px, 3] and mask [size_px, size_px] of a scene's shapes in planes."""
    rng = np.random.default_rng([0xC0B, scene.seed])
    side = size_px * supersample
    colours = np.array(_PALETTES[rng.integers(3)], dtype=np.float64)
    start = np.full((side, side, 3), colours[rng.integers(5)] * 0.7, dtype=np.uint8)
    canvas = Canvas(start, np.full((side, side), PART_IDS["background"], dtype=np.uint8))
    split, slip = rng.uniform(-0.03, 0.03), rng.choice((-1.0, 1.0)) * rng.uniform(0.028, 0.045)
    for layer in shapes:
        if layer.name in ("freckle", "white_shade", "smile_line"):
            continue
        points = _broken(scene, _angular(layer), split, slip)
        canvas.polygon(points, layer.part, layer.colour)
        if layer.name in _LINED:
            _contour(canvas, points)
    canvas.picture = _facets(scene, canvas.picture, colours, rng)
    return canvas.reduced(supersample)


def _angular(layer: Layer) -> Points:
    """A shape by few of its corners."""
    points = layer.points
    keep = _CORNERS.get(layer.name, 8 if layer.part is not None else 10)
    if (
        layer.name in ("frame", "bridge", "temple", "clothes", "collar", "trim", "lash")
        or len(points) <= keep
    ):
        return points
    chosen = np.linspace(0, len(points), keep, endpoint=False).astype(int)
    middle = points.mean(axis=0)
    corners: Points = middle + (points[chosen] - middle) * 1.06
    return corners


def _broken(scene: Scene, points: Points, split: float, slip: float) -> Points:
    """One half of the head slips along a slanted cut, and is seen a little from its side."""
    x, y = points[:, 0] - scene.centre_x, points[:, 1] - scene.centre_y
    right = x + 0.25 * (y - 0.1) > split
    wide = np.where(right, 1.1, 0.94)
    aside = np.where(right, 0.35 * slip, -0.2 * abs(slip))
    return np.stack(
        [scene.centre_x + x * wide + aside, points[:, 1] + np.where(right, slip, -0.4 * slip)], axis=1
    )


def _contour(canvas: Canvas, points: Points) -> None:
    outline = points * canvas.size_px - 0.5
    flat = np.concatenate([outline, outline[:1]]).ravel().tolist()
    ImageDraw.Draw(canvas.picture).line(flat, fill=_LINE, width=max(1, round(0.9 * PIXEL * canvas.size_px)))


def _facets(scene: Scene, picture: Image.Image, colours: Points, rng: np.random.Generator) -> Image.Image:
    """Straight cuts through the picture; each cell has a brightness and a tint of its own."""
    side = picture.size[0]
    line = (np.arange(side) + 0.5) / side
    cell = np.zeros((side, side), dtype=int)
    cuts = 5
    for cut in range(cuts):
        angle = np.pi * (cut + rng.uniform(0.1, 0.9)) / cuts
        x = line[None, :] - scene.centre_x - rng.uniform(-0.12, 0.12)
        y = line[:, None] - 0.55 - rng.uniform(-0.15, 0.15)
        cell += (1 << cut) * (x * np.cos(angle) + y * np.sin(angle) > 0.0)
    bright = rng.uniform(0.72, 1.15, 1 << cuts)[cell][:, :, None]
    tint = colours[rng.integers(len(colours), size=1 << cuts)][cell]
    share = rng.uniform(0.1, 0.42, 1 << cuts)[cell][:, :, None]
    flat = np.asarray(picture, dtype=np.float64)
    dark = flat.max(axis=2, keepdims=True) < 60  # contours and pupils stay as they are
    planes = (flat * (1.0 - share) + tint * share) * bright
    return Image.fromarray(np.clip(np.where(dark, flat, planes), 0, 255).astype(np.uint8))
