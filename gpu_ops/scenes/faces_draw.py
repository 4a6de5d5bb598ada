"""Drawing of a face scene, back to front: surroundings, hair behind, body, face, hair, glasses."""

from __future__ import annotations

from PIL import Image, ImageDraw

from gpu_ops.scenes import faces_hair
from gpu_ops.scenes.canvas import Canvas, Pixels
from gpu_ops.scenes.faces_backdrop import surroundings
from gpu_ops.scenes.faces_body import body, ears, face, face_outline, rim
from gpu_ops.scenes.faces_eyes import brows, eyes
from gpu_ops.scenes.faces_glasses import glare, glasses, temples
from gpu_ops.scenes.faces_head import Head, Layer
from gpu_ops.scenes.faces_light import light
from gpu_ops.scenes.faces_mouth import Mouth, mouth, nose
from gpu_ops.scenes.faces_palette import Palette, palette
from gpu_ops.scenes.faces_scene import Scene


def draw(scene: Scene, size_px: int, supersample: int) -> tuple[Pixels, Pixels]:
    """Picture [size_px, size_px, 3] and mask [size_px, size_px] of a scene."""
    head, colours = Head(scene), palette(scene)
    canvas = surroundings(scene, size_px * supersample)
    for layer in layers(scene, head, colours):
        canvas.polygon(layer.points, layer.part, layer.colour)
    for layer in head.placed(glare(scene)):
        tint(canvas, layer, 0.2)
    picture = light(scene, head, canvas, supersample)
    return picture, canvas.reduced(supersample)[1]


def layers(scene: Scene, head: Head, colours: Palette) -> list[Layer]:
    """Everything in front of the backdrop as polygons of the picture, back to front."""
    back = faces_hair.behind(scene, colours)
    shape = Mouth(scene)
    outline = face_outline(scene, shape)
    lift = rim(head, outline)
    front = [
        *ears(scene, colours),
        *face(scene, outline, lift, shape, colours),
        *faces_hair.shadow(scene, colours),
        *mouth(scene, shape, colours),
        *nose(scene, colours),
        *eyes(scene, colours),
        *brows(scene, colours),
        *temples(scene, colours),
        *faces_hair.front(scene, colours),
        *glasses(scene, colours),
    ]
    return [*head.placed(back), *body(scene, head, head.place(outline, lift), colours), *head.placed(front)]


def tint(canvas: Canvas, layer: Layer, opacity: float) -> None:
    """Lay a layer's colour thinly over the picture; labels stay."""
    points = layer.points * canvas.size_px - 0.5
    left, top = points.min(axis=0).astype(int)
    width, height = (points.max(axis=0) - (left, top)).astype(int) + 2
    stencil = Image.new("L", (int(width), int(height)))
    outline = (points - (left, top)).ravel().tolist()
    ImageDraw.Draw(stencil).polygon(outline, fill=int(255 * opacity))
    canvas.picture.paste(layer.colour, (int(left), int(top)), stencil)
