"""Light on a drawn face: soft shading of skin and hair, added after the picture was reduced."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from gpu_ops.scenes.canvas import Canvas, Pixels
from gpu_ops.scenes.faces_head import Head
from gpu_ops.scenes.faces_parts import PARTS
from gpu_ops.scenes.faces_scene import Scene

Field = npt.NDArray[np.float32]  # [S, S], or [S, S, 3]

_SKIN = ("neck", "skin", "ear", "lid", "nose")
_UNLIT = ("background", "clothes", "mouth_inside")  # what is not on the head, or deep in it
_COVER = np.array(  # what a part counts for: lit by the head's shape, skin, hair
    [(255 * (part not in _UNLIT), 255 * (part in _SKIN), 255 * (part == "hair")) for part in PARTS],
    dtype=np.uint8,
)
_SPOT = np.array([(255.0, 240.0, 225.0), (30.0, -40.0, -32.0)])  # what shine and flush add
_WARM = np.array((0.035, 0.0, -0.035), dtype=np.float32)


def light(scene: Scene, head: Head, canvas: Canvas, factor: int) -> Pixels:
    """The canvas's picture, reduced and lit; [S, S, 3] uint8."""
    reduced = canvas.picture.reduce(factor) if factor > 1 else canvas.picture
    picture = np.asarray(reduced, dtype=np.float32)
    lit, skin, hair = _cover(canvas, factor)
    field = Fields(scene, head, len(picture))
    shade = 1.0 + lit * field.shade() + hair * field.gleam()
    if scene.stubble > 0.0:
        shade *= 1.0 - skin * field.beard()
    result = picture * (1.0 + np.float32(scene.light_warmth) * _WARM)
    result *= shade[:, :, None]
    result += skin[:, :, None] * field.spots()
    np.clip(result, 0.0, 255.0, out=result)
    return np.asarray(result, dtype=np.uint8)


def _cover(canvas: Canvas, factor: int) -> tuple[Field, ...]:
    """What share of each reduced pixel is lit, skin, hair; by every second drawn pixel."""
    step = 2 if factor % 2 == 0 else 1
    image = Image.fromarray(np.asarray(canvas.labels)[::step, ::step])
    image.putpalette(_COVER.tobytes())
    shares = image.convert("RGB")
    if factor > step:
        shares = shares.reduce(factor // step)
    return tuple(np.asarray(share, dtype=np.float32) * np.float32(1.0 / 255.0) for share in shares.split())


class Fields:
    """What light does over the picture [S, S], by the place of the head."""

    def __init__(self, scene: Scene, head: Head, size_px: int) -> None:
        self.scene, self.head = scene, head
        self.line = (np.arange(size_px, dtype=np.float32) + 0.5) / size_px
        self.x, self.y = head.found(self.line[None, :], self.line[:, None])

    def shade(self) -> Field:
        """Brightness by the angle between the head's surface and the light, about 0."""
        scene = self.scene
        u = self.x * np.float32(1.0 / (1.4 * scene.face_width))
        v = (self.y - np.float32(0.02)) * np.float32(1.0 / 0.58)
        front = np.sqrt(np.maximum(1.0 - u * u - v * v, np.float32(0.04)))
        side, up = 0.95 * scene.light_side, 0.6 * scene.light_height
        norm = np.sqrt(side * side + up * up + 0.8)
        facing = u * np.float32(side / norm) - v * np.float32(up / norm) + front * np.float32(0.894 / norm)
        strength = np.float32(0.75 * scene.light_strength)
        return np.asarray(strength * np.maximum(facing, 0.0) + (0.04 - 0.82 * strength), dtype=np.float32)

    def spots(self) -> Field:
        """What is added to skin, RGB: highlights towards the light, and red cheeks, which a smile lifts."""
        scene = self.scene
        smile, side = max(0.0, scene.smile), scene.light_side
        shine = 0.05 + 0.1 * scene.shine
        red = (0.25 + 0.75 * max(0.0, scene.blush)) * (1.0 - 0.55 * scene.skin_tone)
        cheek, blush = 0.125 - 0.02 * smile, 0.15 - 0.03 * smile
        table = np.array(
            [  # x, y, width, height, shine, flush
                (0.07 * side, -0.19, 0.13, 0.05, 0.8 * shine, 0.0),
                (0.02 * side, 0.85 * scene.nose_length, 0.025, 0.03, shine, 0.0),
                (-0.2, cheek, 0.06, 0.035, shine * (0.4 - 0.3 * side), 0.0),
                (0.2, cheek, 0.06, 0.035, shine * (0.4 + 0.3 * side), 0.0),
                (-0.21, blush, 0.085, 0.055 + 0.01 * smile, 0.0, red),
                (0.21, blush, 0.085, 0.055 + 0.01 * smile, 0.0, red),
            ],
        )
        middle = self.head.place(table[:, :2]).T.reshape(12, 1).astype(np.float32)
        size = table[:, 2:4].T.reshape(12, 1).astype(np.float32)
        bells = np.exp(-(((self.line - middle) / size) ** 2))
        across, down = bells[:6], bells[6:]
        tint = (table[:, 4:] @ _SPOT).astype(np.float32)
        count = len(self.line)
        sums = down.T @ (across[:, :, None] * tint[:, None, :]).reshape(6, 3 * count)
        return np.asarray(sums.reshape(count, count, 3), dtype=np.float32)

    def beard(self) -> Field:
        """Stubble around the mouth and on the jaw."""
        down = np.minimum(np.maximum((self.y - np.float32(0.15)) / np.float32(0.09), 0.0), 1.0)
        return np.asarray(down * np.float32(0.3 * self.scene.stubble), dtype=np.float32)

    def gleam(self) -> Field:
        """Hair: streaks that run from the crown, and a bright band across them."""
        scene = self.scene
        x, y = self.x - np.float32(0.12 * scene.parting), self.y + np.float32(0.62)
        turn = x / np.maximum(y, np.float32(0.12))  # as good as the angle, and cheaper
        streaks = np.sin(turn * np.float32(17.0) + np.float32(3.0 * scene.parting))
        far = np.sqrt(x * x + y * y)
        ring = np.exp(-(((far - np.float32(0.36)) * np.float32(20.0)) ** 2))
        strength = np.float32(0.06 + 0.2 * scene.light_strength)
        return np.asarray(streaks * np.float32(0.1 * scene.hair_streaks) + ring * strength, dtype=np.float32)
