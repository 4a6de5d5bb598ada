"""COCO's run lengths: pixels column by column, runs of 0 and 1 in turn, written as a short text.

The text (pycocotools calls it compressed) has, for each run from the fourth on, its difference to the run
two before; numbers in base 32, lowest digits first, a bit that says whether more follow, and 48 added.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


def encode_rle(shape: tuple[int, int], top: int, left: int, piece: Flags) -> dict[str, Any]:
    """A piece bool [h, w] whose corner lies at (top, left) of a picture [H, W], as COCO's `segmentation`."""
    return {"size": list(shape), "counts": to_text(run_lengths(shape, top, left, piece))}


def run_lengths(shape: tuple[int, int], top: int, left: int, piece: Flags) -> list[int]:
    """The runs of the whole picture, of pixels that are not in the piece first."""
    height, width = shape
    columns = np.zeros((piece.shape[1], piece.shape[0] + 2), np.int8)  # a row of 0 above and below
    columns[:, 1:-1] = piece.T
    change = np.diff(columns, axis=1)  # [w, h + 1]
    column, begin = np.nonzero(change == 1)
    _, end = np.nonzero(change == -1)
    first = (left + column) * height + top + begin
    after = (left + column) * height + top + end
    joined = first[1:] == after[:-1]  # runs that go on from the bottom of a column at the top of the next one
    first, after = first[np.r_[True, ~joined]], after[np.r_[~joined, True]]
    edges = np.column_stack([first, after]).ravel()
    counts = np.diff(edges, prepend=0).tolist()
    left_over = height * width - int(edges[-1])
    return [*counts, left_over] if left_over else counts


def to_text(counts: list[int]) -> str:
    letters = []
    for index, count in enumerate(counts):
        number = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            digit = number & 31
            number >>= 5
            more = number != (-1 if digit & 16 else 0)
            letters.append(chr((digit | (32 if more else 0)) + 48))
    return "".join(letters)
