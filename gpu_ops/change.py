"""What changed between two masks of one scene: parts that grew, shrank, moved, appeared, vanished.

From that comes what an editing vector is called (its editing type), and how its effect is measured on other
pictures. Pure, NumPy alone; masks are uint8 [H, W].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Literal

import numpy as np
import numpy.typing as npt

from gpu_ops.picture import Picture

Kind = Literal["grows", "shrinks", "moves", "appears", "vanishes"]
GROWTH = 0.1  # of the area before; less is nothing
SHIFT = 0.01  # of the picture's side
LONGEST = 80  # letters of an editing type


def least_px(side_px: int) -> int:
    """Fewer pixels of a part than this count as none: the papers' 30 at 512 px, scaled, at least 2."""
    return max(2, round(30 * (side_px / 512) ** 2))


@dataclass(frozen=True)
class Change:
    """What became of some parts taken together.

    growth      area after over area before, less 1; infinite for parts that appear
    dx, dy      how far their centre moved, right and down, as a share of the picture's side
    changed_px  pixels that are theirs in one mask alone
    """

    name: str
    parts: tuple[int, ...]
    kind: Kind
    growth: float
    dx: float
    dy: float
    changed_px: int

    def __str__(self) -> str:
        if self.kind != "moves":
            return f"{self.name} {self.kind}"
        across, down = ("right" if self.dx > 0 else "left"), ("down" if self.dy > 0 else "up")
        return f"{self.name} moves {across if abs(self.dx) >= abs(self.dy) else down}"


def changes(
    before: Picture,
    after: Picture,
    parts: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    among: Sequence[int],
) -> list[Change]:
    """What became of the parts with ids in `among`, the largest change first.

    A group all of whose parts are among them is taken as one where it changes as one; else its parts are
    told of one by one. A part that has too few pixels before and after, or changed too little, is left out.
    """
    found: list[Change] = []
    told: set[int] = set()
    wholes = [(name, tuple(parts.index(part) for part in members)) for name, members in groups.items()]
    for name, ids in sorted(wholes, key=lambda whole: -len(whole[1])):
        if set(ids) <= set(among) - told:
            change = _change(name, ids, before, after)
            if change is not None:
                found.append(change)
                told |= set(ids)
    singles = (_change(parts[part], (part,), before, after) for part in among if part not in told)
    found += [change for change in singles if change is not None]
    return sorted(found, key=lambda change: -change.changed_px)


def _change(name: str, ids: tuple[int, ...], before: Picture, after: Picture) -> Change | None:
    old, new = np.isin(before, ids), np.isin(after, ids)
    least, old_px, new_px = least_px(max(before.shape)), int(old.sum()), int(new.sum())
    growth = new_px / old_px - 1 if old_px else float("inf")
    dx = dy = 0.0
    kind: Kind
    if old_px < least and new_px < least:
        return None
    if old_px < least:
        kind, growth = "appears", float("inf")
    elif new_px < least:
        kind = "vanishes"
    else:
        dx, dy = _moved(old, new)
        if abs(growth) >= GROWTH:
            kind = "grows" if growth > 0 else "shrinks"
        elif hypot(dx, dy) >= SHIFT and _shifted(old, new):
            kind = "moves"
        else:
            return None
    return Change(name, ids, kind, growth, dx, dy, int((old != new).sum()))


def _moved(old: npt.NDArray[np.bool_], new: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """How far the centre of one region lies from that of the other, right and down, over the side."""
    (y0, x0), (y1, x1) = (np.argwhere(region).mean(axis=0) for region in (old, new))
    side = max(old.shape)
    return float(x1 - x0) / side, float(y1 - y0) / side


def _shifted(old: npt.NDArray[np.bool_], new: npt.NDArray[np.bool_]) -> bool:
    """Whether a region wins on one side what it loses on another, and is not cut on one side alone."""
    won, lost = int((new & ~old).sum()), int((old & ~new).sum())
    return 2 * min(won, lost) >= max(won, lost)


def editing_type(found: Sequence[Change]) -> str:
    """What a vector that makes these changes does, in a few words: "wheel grows; mirror vanishes".

    The largest changes first, as many as fit; "other" where there are none: colours or textures, say.
    """
    text = ""
    for change in found:
        longer = f"{text}; {change}" if text else str(change)
        if len(longer) > LONGEST:
            break
        text = longer
    return text or "other"


@dataclass(frozen=True)
class Measure:
    """One number for how much of a change is in a pair of masks.

    growth  area after over area before, less 1: of parts that grew, shrank or vanished
    share   change of area over the whole picture's: of parts that appeared
    shift   way of the centre along (dx, dy), a unit vector, over the picture's side: of parts that moved
    """

    kind: Literal["growth", "share", "shift"]
    name: str
    parts: tuple[int, ...]
    dx: float = 0.0
    dy: float = 0.0

    def of(self, before: Picture, after: Picture) -> float:
        """NaN where the parts are not there to be measured."""
        old, new = np.isin(before, self.parts), np.isin(after, self.parts)
        if self.kind == "share":
            return (float(new.sum()) - float(old.sum())) / before.size
        least = least_px(max(before.shape))
        if old.sum() < least:
            return float("nan")
        if self.kind == "growth":
            return float(new.sum()) / float(old.sum()) - 1
        if new.sum() < least:
            return float("nan")
        across, down = _moved(old, new)
        return across * self.dx + down * self.dy


def measure_of(found: Sequence[Change]) -> Measure | None:
    """How to measure the largest of some changes on other pictures; None where there is none."""
    if not found:
        return None
    change = found[0]
    if change.kind == "appears":
        return Measure("share", change.name, change.parts)
    if change.kind == "moves":
        way = hypot(change.dx, change.dy)
        return Measure("shift", change.name, change.parts, change.dx / way, change.dy / way)
    return Measure("growth", change.name, change.parts)
