"""A sample grid: some pictures of a data set, each above itself under its mask, and what the colours mean."""

import heapq
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from storage.masks import Mask
from workers.datasets.item import Classes, DatasetItem, Picture
from workers.datasets.split import share_of

COLUMNS, ROWS = 6, 2
CELL_PX = 192  # smaller pictures are enlarged by a whole number up to about this
LARGEST_PX = 256  # larger ones are made smaller
GAP_PX, ROW_GAP_PX, MARGIN_PX = 6, 18, 18
TEXT_PX, SWATCH_PX, LINE_PX = 17, 16, 30
STRENGTH = 0.6  # of the mask's colours over the picture
INK, PAPER, EDGE, SWATCH_EDGE = (40, 40, 40), (255, 255, 255), 255, (150, 150, 150)
_PICTURES, _MASKS, _IDS = "pictures", "masks", "ids"


class Grid:
    """The few items whose ids' digests are smallest: the same ones in whatever order they come."""

    def __init__(self, most: int = COLUMNS * ROWS) -> None:
        self._most = most
        self._heap: list[tuple[float, str, Picture, Mask]] = []  # least likely to stay first

    def offer(self, item: DatasetItem) -> None:
        rank = -share_of(f"grid:{item.id}")
        if len(self._heap) == self._most and rank <= self._heap[0][0]:
            return
        entry = (rank, item.id, *_small(item.picture, item.mask))
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heapreplace(self._heap, entry)

    def chosen(self) -> list[tuple[Picture, Mask]]:
        """In the order of ids."""
        return [(picture, mask) for _, _, picture, mask in sorted(self._heap, key=lambda each: each[1])]

    def keep(self) -> dict[str, NDArray[np.uint8]]:
        """Copies of what there is; nothing where there is nothing."""
        if not self._heap:
            return {}
        ids = "\n".join(each[1] for each in self._heap)
        return {
            _IDS: np.frombuffer(ids.encode(), np.uint8),
            _PICTURES: np.stack([each[2] for each in self._heap]),
            _MASKS: np.stack([each[3] for each in self._heap]),
        }

    def restore(self, kept: Mapping[str, NDArray[np.uint8]]) -> None:
        if _IDS not in kept:
            return
        ids = kept[_IDS].tobytes().decode().split("\n")
        each = zip(ids, kept[_PICTURES], kept[_MASKS], strict=True)
        self._heap = [(-share_of(f"grid:{one}"), one, picture, mask) for one, picture, mask in each]
        heapq.heapify(self._heap)


def _small(picture: Picture, mask: Mask) -> tuple[Picture, Mask]:
    """Copies, LARGEST_PX wide and high at most."""
    height, width = mask.shape
    shrink = max(height, width) / LARGEST_PX
    if shrink <= 1:
        return picture.copy(), mask.copy()
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    shown = Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
    parts = Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)
    return np.array(shown), np.array(parts)


def draw_grid(chosen: Sequence[tuple[Picture, Mask]], classes: Classes) -> Picture:
    """Pictures uint8 [h, w, 3] of one size, each above itself under its mask; below, the colours."""
    times = max(1, CELL_PX // max(chosen[0][1].shape))
    pairs = [_pair(picture, mask, classes, times) for picture, mask in chosen]
    columns = min(COLUMNS, len(pairs))
    height, width = pairs[0].shape[:2]
    rows = -(-len(pairs) // columns)
    across = 2 * MARGIN_PX + columns * width + (columns - 1) * GAP_PX
    down = 2 * MARGIN_PX + rows * height + (rows - 1) * ROW_GAP_PX
    present = sorted({int(part) for _, mask in chosen for part in np.unique(mask)})
    legend = _legend(present, classes, across)
    sheet = np.full((down + legend.shape[0], across, 3), PAPER, np.uint8)
    for index, pair in enumerate(pairs):
        y = MARGIN_PX + index // columns * (height + ROW_GAP_PX)
        x = MARGIN_PX + index % columns * (width + GAP_PX)
        sheet[y : y + height, x : x + width] = pair
    sheet[down:] = legend
    return sheet


def _pair(picture: Picture, mask: Mask, classes: Classes, times: int) -> Picture:
    large, parts = (each.repeat(times, axis=0).repeat(times, axis=1) for each in (picture, mask))
    gap = np.full((GAP_PX, large.shape[1], 3), PAPER, np.uint8)
    return np.concatenate([large, gap, overlay(large, parts, classes)])


def overlay(picture: Picture, mask: Mask, classes: Classes) -> Picture:
    """The mask's colours over a picture [H, W, 3] in grey, so that hues stay; parts meet in white."""
    grey = np.asarray(Image.fromarray(picture).convert("L"))[:, :, None]
    mixed = (1 - STRENGTH) * grey + STRENGTH * classes.palette[mask]
    shown: Picture = mixed.round().astype(np.uint8)
    shown[:, 1:][mask[:, 1:] != mask[:, :-1]] = EDGE
    shown[1:][mask[1:] != mask[:-1]] = EDGE
    return shown


def _legend(present: Sequence[int], classes: Classes, width: int) -> Picture:
    """A swatch and a name for each part, in as many columns as fit."""
    font = ImageFont.load_default(TEXT_PX)
    names = [classes.names.get(part, str(part)) for part in present]
    entry = round(max(font.getlength(name) for name in names)) + SWATCH_PX + 4 * GAP_PX
    columns = max(1, (width - 2 * MARGIN_PX) // entry)
    columns = -(-len(names) // -(-len(names) // columns))  # rows of about one length
    entry = (width - 2 * MARGIN_PX) // columns
    sheet = Image.new("RGB", (width, -(-len(names) // columns) * LINE_PX + MARGIN_PX), PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, (part, name) in enumerate(zip(present, names, strict=True)):
        x = MARGIN_PX + index % columns * entry
        middle = index // columns * LINE_PX + LINE_PX // 2
        box = (x, middle - SWATCH_PX // 2, x + SWATCH_PX, middle + SWATCH_PX // 2)
        draw.rectangle(box, fill=tuple(classes.palette[part].tolist()), outline=SWATCH_EDGE)
        draw.text((x + SWATCH_PX + GAP_PX, middle), name, fill=INK, font=font, anchor="lm")
    return np.array(sheet)
