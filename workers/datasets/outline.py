"""The outline of a piece as one COCO polygon, along the edges of its pixels: decoding gives the very pixels.

Holes, and what touches at a corner alone, are loops of their own. They are joined to the first loop by a line
to their beginning and back again, which encloses nothing.
"""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Point = tuple[int, int]


def outline(top: int, left: int, piece: Flags) -> list[int]:
    """x, y, x, y ... of a piece bool [h, w] whose corner lies at (top, left): its loops, each one closed."""
    loops = _loops(piece)
    walk = list(loops[0])
    for loop in loops[1:]:
        walk += [*loop, loops[0][0]]
    return [number for x, y in walk for number in (x + left, y + top)]


def _loops(piece: Flags) -> list[list[Point]]:
    """Closed walks (first point = last) along all edges, corners alone."""
    follows = _edges(piece)
    loops = []
    while follows:
        begin = min(follows)
        walk = [begin]
        while True:
            here = walk[-1]
            after = follows[here].pop()
            if not follows[here]:
                del follows[here]
            if len(walk) > 1 and _straight(walk[-2], here, after):
                walk[-1] = after
            else:
                walk.append(after)
            if after == begin:
                break
        loops.append(walk)
    return loops


def _straight(first: Point, second: Point, third: Point) -> bool:
    return first[0] == second[0] == third[0] or first[1] == second[1] == third[1]


def _edges(piece: Flags) -> dict[Point, list[Point]]:
    """Edges of unit length between pixels in and out, the inside on the right hand: to where from where."""
    grid = np.pad(piece, 1).astype(np.int8)
    follows: dict[Point, list[Point]] = defaultdict(list)
    down = np.diff(grid, axis=0)[:, 1:-1]  # [h + 1, w]: 1 where the inside begins below
    for y, x in np.argwhere(down == 1).tolist():
        follows[x, y].append((x + 1, y))
    for y, x in np.argwhere(down == -1).tolist():
        follows[x + 1, y].append((x, y))
    across = np.diff(grid, axis=1)[1:-1]  # [h, w + 1]: 1 where the inside begins on the right
    for y, x in np.argwhere(across == 1).tolist():
        follows[x, y + 1].append((x, y))
    for y, x in np.argwhere(across == -1).tolist():
        follows[x, y].append((x, y + 1))
    return follows
