"""A picture and its part labels, always drawn together by the same shapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Points = npt.NDArray[np.float64]  # [k, 2] x and y, fractions of the picture's side
Colour = tuple[int, int, int]  # RGB in 0..255
Pixels = npt.NDArray[np.uint8]


class Canvas:
    """An RGB image and a label image of the same size, always drawn together."""

    def __init__(self, background: Pixels, labels: Pixels) -> None:
        """background [S, S, 3] uint8, labels [S, S] uint8; S is the drawn size in pixels."""
        self.size_px = background.shape[0]
        self.picture = Image.fromarray(background)
        self.labels = Image.fromarray(labels)
        self._on_picture = ImageDraw.Draw(self.picture)
        self._on_labels = ImageDraw.Draw(self.labels)

    def polygon(self, points: Points, part: int | None, colour: Colour) -> None:
        """Fill a polygon with one colour; part None leaves the labels as they are."""
        outline = self._pixels(points)
        self._on_picture.polygon(outline, fill=colour)
        if part is not None:
            self._on_labels.polygon(outline, fill=part)

    def stencil(self, polygons: Sequence[Points]) -> Image.Image:
        """The union of polygons as an L image, 255 inside."""
        image = Image.new("L", (self.size_px, self.size_px))
        draw = ImageDraw.Draw(image)
        for points in polygons:
            draw.polygon(self._pixels(points), fill=255)
        return image

    def paint(self, stencil: Image.Image, part: int, source: Image.Image) -> None:
        """Copy source, RGB of the canvas's size, to where the stencil is set."""
        area = stencil.getbbox()  # the rest need not be looked at
        if area is None:
            return
        stencil = stencil.crop(area)
        self.picture.paste(source.crop(area), area, stencil)
        self.labels.paste(part, area, stencil)

    def blend(self, stencil: Image.Image, part: int, colour: Colour) -> None:
        """Lay a colour over the picture by the stencil's opacity; label where it is seen."""
        area = stencil.getbbox()
        if area is None:
            return
        stencil = stencil.crop(area)
        self.picture.paste(colour, area, stencil)
        hard = stencil.point([0] * 40 + [255] * 216)
        self.labels.paste(part, area, hard)

    def reduced(self, factor: int) -> tuple[Pixels, Pixels]:
        """Picture [S/factor, S/factor, 3] by block means and mask [S/factor, S/factor] by majority."""
        picture = np.asarray(self.picture.reduce(factor) if factor > 1 else self.picture)
        return picture.copy(), majority(np.asarray(self.labels), factor)

    def _pixels(self, points: Points) -> list[float]:
        # Pillow counts from pixel centres; without the half pixel shapes drift with the size.
        flat: list[float] = (points * self.size_px - 0.5).ravel().tolist()
        return flat


def majority(labels: Pixels, factor: int) -> Pixels:
    """The most frequent label of each factor x factor block; of equals, the lowest.

    labels [H, W] uint8, both sides multiples of factor. Returns [H/factor, W/factor] uint8.
    """
    rows, columns = labels.shape[0] // factor, labels.shape[1] // factor
    split = labels.reshape(rows, factor, columns, factor).transpose(0, 2, 1, 3)
    blocks = split.reshape(rows * columns, factor * factor)
    result = blocks[:, 0].copy()
    mixed = np.flatnonzero((blocks != result[:, None]).any(axis=1))  # most blocks are of one label
    if mixed.size:
        kinds = int(labels.max()) + 1
        keys = blocks[mixed] + kinds * np.arange(mixed.size)[:, None]
        counts = np.bincount(keys.ravel(), minlength=kinds * mixed.size)
        result[mixed] = counts.reshape(mixed.size, kinds).argmax(axis=1)
    return result.reshape(rows, columns)


def rounded(points: Points, radius: float) -> Points:
    """Round a closed polygon's corners; [k, 2] becomes [4 * k, 2].

    radius is how much of each side a corner takes, at most 45 % of the side.
    """
    ahead = np.concatenate([points[1:], points[:1]]) - points
    length = np.sqrt((ahead * ahead).sum(axis=1, keepdims=True))
    step = ahead * np.minimum(radius / np.maximum(length, 1e-9), 0.45)
    start = points - np.concatenate([step[-1:], step[:-1]])
    end = points + step
    # Two points of the quadratic curve from start to end that the corner pulls at.
    early = (4.0 * start + 4.0 * points + end) / 9.0
    late = (start + 4.0 * points + 4.0 * end) / 9.0
    return np.stack([start, early, late, end], axis=1).reshape(-1, 2)


def ellipse(x: float, y: float, radius_x: float, radius_y: float, corners: int = 40) -> Points:
    """An ellipse as a polygon [corners, 2]."""
    turn = np.linspace(0.0, 2.0 * np.pi, corners, endpoint=False)
    return np.stack([x + radius_x * np.cos(turn), y + radius_y * np.sin(turn)], axis=1)


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """A rectangle as a polygon [4, 2]."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
