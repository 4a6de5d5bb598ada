"""A sheet of the gallery: small pictures enlarged in rows, each over its mask and a few words."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gpu_ops.picture import Picture

SIDE, MASK_SIDE, GAP, MARGIN, HEAD, TITLE, LINE = 192, 96, 12, 18, 30, 46, 21
PAPER, INK, FAINT = (250, 250, 248), (28, 28, 30), (104, 104, 110)

Palette = Sequence[tuple[int, int, int]]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Tile:
    """picture uint8 [R, R, 3]; mask uint8 [R, R], its parts; lines: words below, beside the mask."""

    picture: Picture
    mask: Picture | None = None
    lines: tuple[str, ...] = ()


def sheet(title: str, heads: Sequence[str], rows: Sequence[Sequence[Tile]], palette: Palette) -> Image.Image:
    """Rows of tiles, each column under its head."""
    heights = [SIDE + _below_px(row) + GAP for row in rows]
    width = 2 * MARGIN + len(heads) * (SIDE + GAP) - GAP
    image = Image.new("RGB", (width, TITLE + HEAD + sum(heights) + MARGIN - GAP), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((MARGIN, 13), title, fill=INK, font=font(25))
    for column, head in enumerate(heads):
        draw.text((_left(column), TITLE + 4), head, fill=INK, font=fitting(head, 19, SIDE))
    top = TITLE + HEAD
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            _draw_tile(image, draw, tile, palette, _left(column), top)
        top += height
    return image


def legend(names: Sequence[str], palette: Palette, columns: int) -> Image.Image:
    """The parts of a model, each beside its colour in masks."""
    step_x, step_y, swatch = 151, 30, 19
    rows = -(-len(names) // columns)
    image = Image.new("RGB", (2 * MARGIN + columns * step_x, 2 * MARGIN + rows * step_y - 8), PAPER)
    draw = ImageDraw.Draw(image)
    for index, name in enumerate(names):
        left, top = MARGIN + index % columns * step_x, MARGIN + index // columns * step_y
        draw.rectangle((left, top, left + swatch, top + swatch), fill=tuple(palette[index]), outline=FAINT)
        draw.text((left + swatch + 8, top), name.replace("_", " "), fill=INK, font=font(17))
    return image


def enlarged(picture: Picture, side: int = SIDE) -> Image.Image:
    """Smoothly, to side x side."""
    return Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS)


def enlarged_mask(mask: Picture, palette: Palette, side: int = MASK_SIDE) -> Image.Image:
    """In whole pixels, in the parts' colours; where side is no multiple, through one that is."""
    shown = np.array(palette, np.uint8)[mask].repeat(4, axis=0).repeat(4, axis=1)
    return Image.fromarray(shown).resize((side, side), Image.Resampling.BOX)


def fitting(text: str, size: int, width_px: int) -> Font:
    """The font of this size, or the largest smaller one in which the text is no wider."""
    return next(
        (font(each) for each in range(size, 8, -1) if font(each).getlength(text) <= width_px), font(8)
    )


@functools.cache
def font(size: int) -> Font:
    return ImageFont.load_default(size)


def rendered(picture: Picture, exact: Picture | None, *lines: str) -> Tile:
    """The first of a row: what the renderer drew, and where it knows its parts to be."""
    return Tile(picture, exact, (*lines, "exact", "mask"))


def _left(column: int) -> int:
    return MARGIN + column * (SIDE + GAP)


def _below_px(row: Sequence[Tile]) -> int:
    """How much is below the pictures of a row."""
    words = max(len(tile.lines) for tile in row) * LINE
    return 6 + max(words, MASK_SIDE if any(tile.mask is not None for tile in row) else 0)


def _draw_tile(
    image: Image.Image, draw: ImageDraw.ImageDraw, tile: Tile, palette: Palette, left: int, top: int
) -> None:
    image.paste(enlarged(tile.picture), (left, top))
    beside = left
    if tile.mask is not None:
        image.paste(enlarged_mask(tile.mask, palette), (left, top + SIDE + 6))
        beside += MASK_SIDE + 8
    for number, line in enumerate(tile.lines):
        at = (beside, top + SIDE + 5 + number * LINE)
        draw.text(at, line, fill=FAINT, font=fitting(line, 17, left + SIDE - beside))
