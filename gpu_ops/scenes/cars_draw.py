"""Drawing of a car scene, back to front: surroundings, shadow, body, what is on it, wheels."""

from __future__ import annotations

import functools
import itertools

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from gpu_ops.scenes.canvas import Canvas, Points, box, ellipse, rounded
from gpu_ops.scenes.cars_backdrop import mixed, paint_colour, scaled, sky_colour, surroundings
from gpu_ops.scenes.cars_scene import PART_IDS, Scene

_PIXEL = 1.0 / 64.0  # widths of lines are given in pixels of the smallest model


def draw(scene: Scene, size_px: int) -> Canvas:
    """Draw a scene on a canvas of size_px, not reduced."""
    canvas = surroundings(scene, size_px)
    car = Car(scene)
    _shadow(canvas, scene, car)
    paintwork = _paintwork(scene, car, size_px)
    _body(canvas, scene, car, paintwork)
    _doors(canvas, scene, car, paintwork)
    _windows(canvas, scene, car)
    _ends(canvas, scene, car)
    for x in (car.front_wheel_x, car.rear_wheel_x):
        _wheel(canvas, scene, x)
    return canvas


class Car:
    """A scene's lengths turned into positions in the picture; the nose is at the left."""

    def __init__(self, scene: Scene) -> None:
        self.nose = scene.centre_x - scene.length / 2
        self.tail = scene.centre_x + scene.length / 2
        self.front_wheel_x = self.along(scene, scene.front_wheel)
        self.rear_wheel_x = self.along(scene, scene.rear_wheel)
        self.sill = scene.axle_y + scene.sill_drop
        self.belt = scene.axle_y - scene.belt_height
        self.roof = self.belt - scene.cabin_height
        self.hood = self.belt + scene.nose_drop
        self.deck = self.belt + scene.deck_drop
        self.screen_base = self.along(scene, scene.hood_length)
        self.screen_top = self.along(scene, scene.hood_length + scene.windscreen_run)
        self.rear_base = self.along(scene, scene.cabin_end)
        self.rear_top = self.along(scene, scene.cabin_end - scene.rear_run)

    def along(self, scene: Scene, fraction: float) -> float:
        """The x of a fraction of the length behind the nose."""
        return self.nose + fraction * scene.length


# ---- shadow and body ----


def _shadow(canvas: Canvas, scene: Scene, car: Car) -> None:
    low = scene.axle_y + scene.shadow_reach
    high = car.sill - 0.02
    middle, half = (low + high) / 2, (low - high) / 2
    x = (car.nose + car.tail) / 2 - 0.02 * scene.light_side
    small = max(8, canvas.size_px // 4)  # soft anyway: blurring a quarter of the size is cheap
    soft = Image.new("L", (small, small))
    outline = ellipse(x, middle, scene.length * 0.5, half) * small - 0.5
    depth = int(255 * scene.shadow_depth)
    ImageDraw.Draw(soft).polygon(outline.ravel().tolist(), fill=depth)
    soft = soft.filter(ImageFilter.BoxBlur(small / 64.0))
    size = (canvas.size_px, canvas.size_px)
    stencil = soft.resize(size, Image.Resampling.BILINEAR)
    canvas.blend(stencil, PART_IDS["shadow"], (18, 18, 24))


def _body(canvas: Canvas, scene: Scene, car: Car, paintwork: Image.Image) -> None:
    stencil = canvas.stencil([_profile(scene, car), _cabin(car), *_arches(scene, car, 1.5)])
    canvas.paint(stencil, PART_IDS["body"], paintwork)


def _profile(scene: Scene, car: Car) -> Points:
    """The body below the windows, without wheels."""
    shoulder = car.screen_base - 0.05 * scene.length
    return rounded(
        np.array(
            [
                (car.nose, car.sill),
                (car.nose, car.hood + 0.02),
                (car.nose + 0.02, car.hood),
                (shoulder, car.belt + 0.25 * scene.nose_drop),
                (car.screen_base + 0.02, car.belt),
                (car.rear_base - 0.01, car.belt),
                (car.tail - 0.015, car.deck),
                (car.tail, car.deck + 0.02),
                (car.tail, car.sill),
            ]
        ),
        radius=0.03,
    )


def _cabin(car: Car, inset: float = 0.0) -> Points:
    """The cabin from belt to roof; with an inset, the room that windows take in it."""
    lift = 0.0 if inset else 0.01  # the cabin is rooted in the body, its windows are not
    return rounded(
        np.array(
            [
                (car.screen_base + 1.8 * inset, car.belt + lift),
                (car.screen_top + 0.9 * inset, car.roof + inset),
                (car.rear_top - 0.9 * inset, car.roof + inset),
                (car.rear_base - 1.6 * inset, car.belt + lift),
            ]
        ),
        radius=0.022 if inset else 0.045,
    )


def _arches(scene: Scene, car: Car, margin_px: float) -> list[Points]:
    """Discs around the wheels, cut off at the sill: mudguards follow the wheels' radius."""
    radius = scene.wheel_radius + margin_px * _PIXEL
    arches = []
    for x in (car.front_wheel_x, car.rear_wheel_x):
        disc = ellipse(x, scene.axle_y, radius, radius)
        disc[:, 1] = np.minimum(disc[:, 1], car.sill)
        arches.append(disc)
    return arches


def _paintwork(scene: Scene, car: Car, size_px: int) -> Image.Image:
    """Paint in the light [size_px, size_px]: bright shoulders, dark sills, one side lit."""
    small = max(16, size_px // 4)  # smooth, and boxed down by four later: a quarter of the size is enough
    y = (np.arange(small, dtype=np.float32) + 0.5) / small
    height = np.clip((car.sill - y) / (car.sill - car.roof), 0.0, 1.0)
    shoulder = np.exp(-(((y - car.belt - 0.035) / 0.022) ** 2))
    column = 0.68 + 0.34 * height + 0.28 * scene.reflection * shoulder
    x = np.linspace(-1.0, 1.0, small, dtype=np.float32)
    row = 1.0 + 0.16 * scene.light_strength * scene.light_side * x
    brightness = (0.8 + 0.25 * scene.light_strength) * column[:, None] * row
    colour = np.array(paint_colour(scene), dtype=np.float32)
    lit = np.minimum(brightness[:, :, None] * colour, 255.0).astype(np.uint8)
    return Image.fromarray(lit).resize((size_px, size_px), Image.Resampling.NEAREST)


def _door_room(car: Car) -> tuple[float, float]:
    """Left and right of the doors: from the windscreen to the rear of the cabin."""
    left = max(car.screen_base + 0.03, car.front_wheel_x + 0.06)
    right = min(car.rear_base - 0.03, car.rear_wheel_x - 0.03)
    return left, right


def _door_edges(scene: Scene, car: Car) -> list[float]:
    left, right = _door_room(car)
    if scene.body_type in ("coupe", "pickup"):
        return [left, right if scene.body_type == "pickup" else left + 0.8 * (right - left)]
    return [left, left + scene.door_split * (right - left), right]


def _doors(canvas: Canvas, scene: Scene, car: Car, paintwork: Image.Image) -> None:
    edges = _door_edges(scene, car)
    top, bottom = car.belt + 0.012, car.sill - 0.018
    seam = scaled(paint_colour(scene), 0.5)
    outer = [rounded(box(a, top, b, bottom), 0.02) for a, b in itertools.pairwise(edges)]
    line = 0.55 * _PIXEL
    inner = [
        rounded(box(a + line, top + line, b - line, bottom - line), 0.02)
        for a, b in itertools.pairwise(edges)
    ]
    for points in outer:
        canvas.polygon(points, PART_IDS["door"], seam)
    canvas.paint(canvas.stencil(inner), PART_IDS["door"], paintwork)
    handle = top + 0.018 + 0.02 * scene.handle_height
    bright = mixed(paint_colour(scene), (235, 235, 235), 0.65)
    for right in edges[1:]:
        shape = box(right - 0.075, handle, right - 0.018, handle + 1.6 * _PIXEL)
        canvas.polygon(shape, PART_IDS["handle"], bright)


# ---- windows ----


def _windows(canvas: Canvas, scene: Scene, car: Car) -> None:
    room = _cabin(car, inset=1.5 * _PIXEL)
    stencil = canvas.stencil([room])
    pillars = ImageDraw.Draw(stencil)
    half = 0.7 * _PIXEL
    for x in _door_edges(scene, car)[1:]:
        if x < car.rear_base - 0.06:
            strip = box(x - half, car.roof, x + half, car.belt + 0.02) * canvas.size_px - 0.5
            pillars.polygon(strip.ravel().tolist(), fill=0)
    canvas.paint(stencil, PART_IDS["window"], _glass(scene, car, canvas.size_px))
    x = car.screen_base + 0.052
    size = scene.mirror_size * _PIXEL
    dark = mixed(paint_colour(scene), (30, 30, 34), 0.45)
    shape = ellipse(x, car.belt - 0.3 * size, 2.4 * size, 1.7 * size, 20)
    canvas.polygon(shape, PART_IDS["mirror"], dark)


def _glass(scene: Scene, car: Car, size_px: int) -> Image.Image:
    """Tinted glass that mirrors the sky, with one slanted bright band."""
    sky = np.array(sky_colour(scene), dtype=np.float32)
    y = np.arange(size_px, dtype=np.float32)[:, None] / size_px
    up = np.clip((car.belt - y) / (car.belt - car.roof), 0.0, 1.0)
    clear = 0.75 - 0.55 * scene.window_tint
    column = sky * (clear * (0.55 + 0.35 * up))
    strip = Image.fromarray(np.minimum(column[:, None, :], 255.0).astype(np.uint8))
    glass = strip.resize((size_px, size_px), Image.Resampling.NEAREST)
    x = car.screen_base + (0.15 + 0.6 * scene.reflection_x) * (car.rear_base - car.screen_base)
    slant = 0.6 * scene.cabin_height
    top, low, wide = x + slant, x, 0.07
    band = np.array([(top, car.roof), (top + wide, car.roof), (low + wide, car.belt), (low, car.belt)])
    middle = scaled(sky_colour(scene), clear * 0.72)
    bright = mixed(middle, sky_colour(scene), 0.45 * scene.reflection)
    ImageDraw.Draw(glass).polygon((band * size_px - 0.5).ravel().tolist(), fill=bright)
    return glass


# ---- front and rear ----


def _ends(canvas: Canvas, scene: Scene, car: Car) -> None:
    """Bumpers, lights and plate."""
    rubber = mixed((38, 38, 42), (150, 150, 155), scene.bumper_shade)
    tall, deep = 0.085 * scene.bumper_size, 0.10 * scene.bumper_size
    foot = car.sill + 0.006
    front = rounded(box(car.nose - 0.012, foot - tall, car.nose + deep, foot), 0.018)
    rear = rounded(box(car.tail - deep, foot - tall, car.tail + 0.012, foot), 0.018)
    canvas.polygon(front, PART_IDS["bumper"], rubber)
    canvas.polygon(rear, PART_IDS["bumper"], rubber)
    size = scene.headlight_size
    left, top = car.nose + 0.002, car.hood + 0.018
    lamp = np.array(
        [
            (left, top),
            (left + 0.065 * size, top + 0.006),
            (left + 0.10 * size, top + 0.035 * size),
            (left, top + 0.065 * size),
        ]
    )
    canvas.polygon(lamp, PART_IDS["headlight"], (250, 246, 214))
    size = scene.taillight_size
    right, top = car.tail - 0.002, car.deck + 0.018
    lamp = box(right - 0.045 * size, top, right, top + 0.075 * size)
    canvas.polygon(rounded(lamp, 0.015), PART_IDS["taillight"], (196, 26, 30))
    bottom = foot - 0.012 - scene.plate_height * max(0.0, tall - 0.06)
    plate = box(car.nose - 0.004, bottom - 0.036, car.nose + 0.058, bottom)
    canvas.polygon(plate, PART_IDS["plate"], (236, 236, 226))


# ---- wheels ----


def _wheel(canvas: Canvas, scene: Scene, x: float) -> None:
    y, radius = scene.axle_y, scene.wheel_radius
    arch = ellipse(x, y, radius + 0.6 * _PIXEL, radius + 0.6 * _PIXEL)
    arch[:, 1] = np.minimum(arch[:, 1], y + scene.sill_drop)
    canvas.polygon(arch, PART_IDS["body"], (16, 16, 18))
    canvas.polygon(ellipse(x, y, radius, radius), PART_IDS["tyre"], (34, 34, 37))
    rim = radius * scene.rim_ratio
    metal = int(150 + 85 * scene.rim_shade)
    canvas.polygon(ellipse(x, y, rim, rim), PART_IDS["rim"], (metal - 62, metal - 62, metal - 56))
    for spoke in _spokes(scene.spoke_count):
        blade = _turned(spoke, scene, rim) + np.array([x, y])
        canvas.polygon(blade, PART_IDS["spokes"], (metal, metal, metal + 4))
    hub = rim * scene.hub_ratio
    canvas.polygon(ellipse(x, y, hub, hub, 24), PART_IDS["hub"], (metal - 98, metal - 98, metal - 90))


@functools.cache
def _spokes(count: int) -> tuple[Points, ...]:
    """Angles of the two sides of each spoke [2, 2]: where it points, and -1 or 1 for its side."""
    turns = np.arange(count) / count
    return tuple(np.array([(turn, -1.0), (turn, 1.0)]) for turn in turns)


def _turned(spoke: Points, scene: Scene, rim: float) -> Points:
    """A chunky spoke [4, 2] around the origin, from the centre nearly to the rim's edge."""
    half_turn = 0.5 * scene.spoke_width / scene.spoke_count
    turn = spoke[:, 0] + scene.spoke_angle / scene.spoke_count
    angles = 2.0 * np.pi * (turn + half_turn * spoke[:, 1])
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([0.2 * rim * rays, 0.94 * rim * rays[::-1]])
