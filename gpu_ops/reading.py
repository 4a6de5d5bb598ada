"""Feature maps, resized bilinearly and read at some pixels alone.

What a pixel reads of a smaller map is a weighted sum of four of its rows; of several maps, whose rows lie in
one table, a weighted sum of rows of the table: an embedding bag, in one pass over memory. So is its gradient,
the other way round: each row of the table is read by some of the pixels.
"""

import functools
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Bag:
    """Which rows of a table [V, C] are summed at each pixel, and what each counts.

    rows    int64 [P, J]
    counts  float64 [P, J]
    height  V
    """

    rows: torch.Tensor
    counts: torch.Tensor
    height: int

    def read(self, table: torch.Tensor) -> torch.Tensor:
        """The sums at the pixels: [P, C]."""
        summed: torch.Tensor = _Read.apply(table, self)  # type: ignore[no-untyped-call]
        return summed

    @functools.cached_property
    def turned(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Which pixels read each row: pixels [P * J], row after row; where each row's begin [V]; counts."""
        rows = self.rows.flatten()
        order = rows.argsort(stable=True)
        starts = torch.searchsorted(rows[order], torch.arange(self.height, device=rows.device))
        return order // self.rows.shape[1], starts, self.counts.flatten()[order]


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: torch.Tensor, bag: Bag) -> torch.Tensor:
        ctx.bag = bag
        return F.embedding_bag(bag.rows, table, per_sample_weights=bag.counts.to(table), mode="sum")

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor, None]:
        (slope,) = slopes
        pixels, starts, counts = ctx.bag.turned
        slope = slope.contiguous()
        return F.embedding_bag(pixels, slope, starts, per_sample_weights=counts.to(slope), mode="sum"), None


@dataclass(frozen=True)
class Within:
    """Where some pixels lie in maps of several sizes, of which the first are small.

    used  of each small map, the rows int64 [U] of [N * r * r] that the pixels read; None: all of them
    bag   into a table of a bias and, one after the other, of those rows of each small map
    """

    used: tuple[torch.Tensor | None, ...]
    bag: Bag


class Places:
    """Pixels to read maps at. Where they lie in maps of some sizes is worked out once.

    pixels  int64 [P], indices into the flattened [N, R, R] pictures
    size    R
    """

    def __init__(self, pixels: torch.Tensor, size: int) -> None:
        self.pixels, self.size = pixels, size
        self._within: dict[tuple[tuple[int, ...], int], Within] = {}

    def __len__(self) -> int:
        return len(self.pixels)

    def within(self, sizes: tuple[int, ...], items: int) -> Within:
        """In the maps of N items, r of each in ascending order: small are those of which the pixels read
        fewer rows than they are themselves. May wait for the device, the first time."""
        if (sizes, items) not in self._within:
            self._within[sizes, items] = self._find(sizes, items)
        return self._within[sizes, items]

    def _find(self, sizes: tuple[int, ...], items: int) -> Within:
        bias = torch.zeros_like(self.pixels)[:, None]
        rows, counts = [bias], [torch.ones_like(bias, dtype=torch.double)]
        used: list[torch.Tensor | None] = []
        height = 1
        for small in sizes:
            corners, shares = corners_of(self.pixels, small, self.size)
            read, at = corners.unique(return_inverse=True)
            if len(read) >= len(self):
                break  # and so it is with all that follow: they are no smaller
            used.append(read if len(read) < items * small * small else None)
            rows.append(at + height)
            counts.append(shares)
            height += len(read)
        return Within(tuple(used), Bag(torch.cat(rows, dim=1), torch.cat(counts, dim=1), height))


def bag_at(sizes: tuple[int, ...], items: int, pixels: torch.Tensor, size: int) -> Bag:
    """What pixels int64 [P] read of a table of a bias and, size by size, all rows of N maps."""
    rows = [torch.zeros_like(pixels)[:, None]]  # the bias
    counts = [torch.ones_like(rows[0], dtype=torch.double)]
    height = 1
    for small in sizes:
        corners, shares = corners_of(pixels, small, size)
        rows.append(corners + height)
        counts.append(shares)
        height += items * small * small
    return Bag(torch.cat(rows, dim=1), torch.cat(counts, dim=1), height)


def resize_at(rows: torch.Tensor, pixels: torch.Tensor, size: int) -> torch.Tensor:
    """Bilinear resize of rows [N, r, r, C] to size, read at pixels alone: [P, C]."""
    small = rows.shape[1]
    flat = rows.flatten(0, 2)  # [N * r * r, C]
    if small == size:
        return flat[pixels]
    return Bag(*corners_of(pixels, small, size), len(flat)).read(flat)


def corners_of(pixels: torch.Tensor, small: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Between which rows of a map each pixel lies, and what each counts: [P, 4]; of its own: [P, 1]."""
    if small == size:
        return pixels[:, None], torch.ones_like(pixels, dtype=torch.double)[:, None]
    item = pixels // (size * size)
    top, bottom, down = _neighbours(pixels // size % size, small, size)
    left, right, across = _neighbours(pixels % size, small, size)
    rows = [(item * small + y) * small + x for y in (top, bottom) for x in (left, right)]
    shares = [v * h for v in (1 - down, down) for h in (1 - across, across)]
    return torch.stack(rows, dim=1), torch.stack(shares, dim=1)


def _neighbours(at: torch.Tensor, small: int, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The two coordinates between which `at` lies in the smaller map, and the way from one to the other."""
    place = ((at.double() + 0.5) * small / size - 0.5).clamp(min=0)
    low = place.floor().long()
    return low, (low + 1).clamp(max=small - 1), place - low
