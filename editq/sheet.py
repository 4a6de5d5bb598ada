"""The contact sheet: pictures side by side, enlarged and labelled, with a legend of parts and the figures."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

_TILE_PX = 384
_GAP_PX = 16
_LABEL_PX = 34
_COLUMNS = 4
_PAPER = (250, 250, 248)
_INK = (28, 28, 30)
_FAINT = (110, 110, 116)
_BETWEEN = "  ·  "

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class Panel:
    label: str
    picture: Image.Image
    exact: bool = False  # masks: enlarged by whole pixels, never smoothed


@dataclass(frozen=True, slots=True)
class LegendEntry:
    name: str
    colour: tuple[int, int, int]


def contact_sheet(
    panels: Sequence[Panel], legend: Sequence[LegendEntry], *, title: str, footer: Sequence[str]
) -> Image.Image:
    """Panels in rows of four, the legend in the place after the last one; any sizes, shown as squares.

    The footer's figures flow into as many lines as they need. Text that is too long for its place is cut.
    """
    rows = -(-(len(panels) + bool(legend)) // _COLUMNS)
    head_px, line_px = 56, 28
    width = _COLUMNS * _TILE_PX + (_COLUMNS + 1) * _GAP_PX
    text_px = width - 2 * _GAP_PX
    lines = _flowing(footer, _font(19), text_px)
    body = rows * (_TILE_PX + _LABEL_PX + _GAP_PX)
    sheet = Image.new("RGB", (width, head_px + body + len(lines) * line_px + _GAP_PX), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP_PX, 14), _cut(title, _font(26), text_px), fill=_INK, font=_font(26))
    for index, panel in enumerate(panels):
        left, top = _place(index, head_px)
        draw.text((left, top + 4), _cut(panel.label, _font(20), _TILE_PX), fill=_INK, font=_font(20))
        sheet.paste(_enlarged(panel), (left, top + _LABEL_PX))
    if legend:
        _draw_legend(draw, legend, _place(len(panels), head_px))
    for number, line in enumerate(lines):
        draw.text((_GAP_PX, head_px + body + number * line_px), line, fill=_FAINT, font=_font(19))
    return sheet


@functools.cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _flowing(figures: Sequence[str], font: Font, width_px: float) -> list[str]:
    """Lines of figures, each no wider than asked for."""
    lines: list[str] = []
    for figure in figures:
        joined = f"{lines[-1]}{_BETWEEN}{figure}" if lines else figure
        if lines and font.getlength(joined) <= width_px:
            lines[-1] = joined
        else:
            lines.append(_cut(figure, font, width_px))
    return lines


def _cut(text: str, font: Font, width_px: float) -> str:
    """The text, or as much of its beginning as fits before an ellipsis."""
    if font.getlength(text) <= width_px:
        return text
    fits = (text[:end].rstrip() + "…" for end in range(len(text) - 1, 0, -1))
    return next((short for short in fits if font.getlength(short) <= width_px), "")


def _place(index: int, head_px: int) -> tuple[int, int]:
    row, column = divmod(index, _COLUMNS)
    left = _GAP_PX + column * (_TILE_PX + _GAP_PX)
    return left, head_px + row * (_TILE_PX + _LABEL_PX + _GAP_PX)


def _enlarged(panel: Panel) -> Image.Image:
    how = Image.Resampling.NEAREST if panel.exact else Image.Resampling.BICUBIC
    picture = panel.picture.convert("RGB")
    scale = _TILE_PX / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    tile = Image.new("RGB", (_TILE_PX, _TILE_PX), _PAPER)
    tile.paste(picture.resize(size, how), ((_TILE_PX - size[0]) // 2, (_TILE_PX - size[1]) // 2))
    return tile


def _draw_legend(draw: ImageDraw.ImageDraw, legend: Sequence[LegendEntry], place: tuple[int, int]) -> None:
    left, top = place
    draw.text((left, top + 4), "parts", fill=_INK, font=_font(20))
    columns = 1 if len(legend) <= 12 else 2
    rows = -(-len(legend) // columns)
    step_px = min(30, _TILE_PX // rows)
    for index, entry in enumerate(legend):
        column, row = divmod(index, rows)
        x = left + column * (_TILE_PX // columns)
        y = top + _LABEL_PX + row * step_px
        box = (x, y, x + step_px - 8, y + step_px - 8)
        draw.rectangle(box, fill=entry.colour, outline=_FAINT)
        font = _font(min(18, step_px - 8))
        name = _cut(entry.name, font, _TILE_PX // columns - step_px)
        draw.text((x + step_px, y), name, fill=_INK, font=font)
