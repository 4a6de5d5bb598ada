"""A sweep of strengths as one picture: the pictures in a row, their masks below."""

from collections.abc import Sequence

import numpy as np

from gpu_ops.picture import Picture

GAP_PX = 2
SEEN_PX = 128  # smaller pictures are enlarged to at least this, so that a person sees them
BLANK = 255


def filmstrip(pictures: Sequence[Picture], masks: Sequence[Picture], palette: Picture) -> Picture:
    """Pictures uint8 [H, W, 3] above masks uint8 [H, W] in the colours of palette [256, 3]: one picture.

    Small ones are enlarged by a whole number, without smoothing.
    """
    times = -(-SEEN_PX // pictures[0].shape[0])
    shown, parts = ([_enlarged(cell, times) for cell in cells] for cells in (pictures, masks))
    rows = [_row(shown), _row([palette[mask] for mask in parts])]
    gap = np.full((GAP_PX, rows[0].shape[1], 3), BLANK, np.uint8)
    return np.concatenate([rows[0], gap, rows[1]])


def _enlarged(cell: Picture, times: int) -> Picture:
    larger: Picture = cell.repeat(times, axis=0).repeat(times, axis=1)
    return larger


def _row(pictures: Sequence[Picture]) -> Picture:
    gap = np.full((pictures[0].shape[0], GAP_PX, 3), BLANK, np.uint8)
    cells = [pictures[0], *(cell for picture in pictures[1:] for cell in (gap, picture))]
    return np.concatenate(cells, axis=1)
