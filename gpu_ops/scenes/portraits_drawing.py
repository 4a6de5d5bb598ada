"""A face drawn in ink: caricatured outlines by an unsteady hand, and hatching for tones."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from gpu_ops.scenes.canvas import Canvas, Colour, Pixels, Points
from gpu_ops.scenes.faces_head import PIXEL, Layer
from gpu_ops.scenes.faces_palette import mixed
from gpu_ops.scenes.faces_parts import PART_IDS
from gpu_ops.scenes.faces_scene import Scene

_INKS: tuple[Colour, ...] = ((28, 26, 30), (62, 36, 24), (24, 38, 84))
_PAPERS: tuple[Colour, ...] = ((248, 244, 232), (240, 240, 242), (236, 222, 196))

# How a layer is filled: with ink, or hatched; all others are left as paper.
_SOLID = ("pupil", "lash", "nostril", "mouth_line", "mouth_inside", "smile_line", "frame", "bridge", "temple")
_HATCHED = {  # angle of the strokes and their distance in pixels of the smallest model
    "hair": (1.2, 1.7),
    "hair_back": (1.9, 1.3),
    "curl": (0.6, 1.8),
    "bun": (0.9, 1.6),
    "tail": (1.7, 1.4),
    "brow": (0.5, 1.1),
    "clothes": (0.2, 2.6),
    "nose_shade": (0.8, 1.8),
    "neck_shade": (0.3, 1.7),
    "hair_shadow": (0.8, 2.0),
    "ear_inside": (0.8, 1.6),
    "iris": (1.5, 1.3),
}
_UNLINED = (
    "freckle",
    "white_shade",
    "glint",
    "tongue",
    "lower_line",
    "lip_shade",
    "hair_shadow",
    "nose_shade",
    "neck_shade",
    "nose_under",
    "iris",
)


def drawing(scene: Scene, shapes: list[Layer], size_px: int, supersample: int) -> tuple[Pixels, Pixels]:
    """Picture [size_px, size_px, 3] and mask [size_px, size_px] of a scene's shapes in ink."""
    rng = np.random.default_rng([0xD4A7, scene.seed])
    ink, paper = _INKS[rng.integers(3)], _PAPERS[rng.integers(3)]
    side = size_px * supersample
    picture = np.full((side, side, 3), paper, dtype=np.uint8)
    canvas = Canvas(picture, np.full((side, side), PART_IDS["background"], dtype=np.uint8))
    bulge, wobble = rng.uniform(0.5, 1.0), rng.uniform(0.0, 6.0, 4)
    for layer in shapes:
        points = _by_hand(_caricature(scene, layer.points, bulge), wobble)
        _draw(canvas, layer._replace(points=points), ink, paper)
    return canvas.reduced(supersample)


def _caricature(scene: Scene, points: Points, bulge: float) -> Points:
    """Eyes and forehead larger, chin smaller and pointed, as a smooth map of the picture."""
    x, y = points[:, 0] - scene.centre_x, points[:, 1] - scene.centre_y
    eyes = np.exp(-((y / 0.16) ** 2))
    chin = np.clip((y - 0.12) / 0.35, 0.0, 1.0)
    wide = 1.0 + bulge * (0.14 * eyes - 0.24 * chin)
    tall = y * (1.0 + 0.22 * bulge * np.exp(-((y / 0.12) ** 2))) + 0.02 * bulge * chin
    return np.stack([scene.centre_x + x * wide, scene.centre_y + tall], axis=1)


def _by_hand(points: Points, wobble: Points) -> Points:
    x, y = points[:, 0], points[:, 1]
    aside = 0.006 * np.sin(17.0 * y + wobble[0]) + 0.004 * np.sin(41.0 * y + 23.0 * x + wobble[1])
    along = 0.006 * np.sin(15.0 * x + wobble[2]) + 0.004 * np.sin(37.0 * x - 29.0 * y + wobble[3])
    moved: Points = points + np.stack([aside, along], axis=1)
    return moved


def _draw(canvas: Canvas, layer: Layer, ink: Colour, paper: Colour) -> None:
    if layer.name in _UNLINED and layer.name not in _HATCHED:
        if layer.name == "glint":
            canvas.polygon(layer.points, None, paper)
        return
    solid = layer.name in _SOLID
    if layer.part is not None or solid:
        canvas.polygon(layer.points, layer.part, ink if solid else paper)
    if layer.name in _HATCHED:
        _hatch(canvas, layer.points, *_HATCHED[layer.name], ink)
    if layer.name not in _UNLINED:
        outline = layer.points * canvas.size_px - 0.5
        width = max(1, round((0.5 if solid else 0.95) * PIXEL * canvas.size_px))
        flat = np.concatenate([outline, outline[:2]]).ravel().tolist()
        ImageDraw.Draw(canvas.picture).line(flat, fill=mixed(ink, paper, 0.1), width=width, joint="curve")


def _hatch(canvas: Canvas, points: Points, angle: float, apart_px: float, ink: Colour) -> None:
    """Parallel strokes of ink inside a polygon."""
    strokes = Image.new("L", canvas.picture.size)
    draw = ImageDraw.Draw(strokes)
    way, across = np.array((np.cos(angle), np.sin(angle))), np.array((-np.sin(angle), np.cos(angle)))
    width = max(1, round(0.55 * PIXEL * canvas.size_px))
    for offset in np.arange(-0.8, 0.8, apart_px * PIXEL):
        ends = (0.5 + np.stack([across * offset - way, across * offset + way])) * canvas.size_px
        draw.line(ends.ravel().tolist(), fill=255, width=width)
    inside = canvas.stencil([points])
    canvas.picture.paste(ink, (0, 0), Image.composite(strokes, Image.new("L", strokes.size), inside))
