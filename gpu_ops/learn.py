"""Learning editing vectors: from an edited mask (gpu_ops/edit.py), or from pictures before and after.

A vector is known by its example: the first point, and the first point with the vector added. Several are
learned from one first point by one run each.
Sources: Ling et al. 2021 (EditGAN), eqs. 1 to 5; US 2025/0259357 A1, claims 2, 5, 6, 9, 10, 14, 18 to 20.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gpu_ops.bundle import Bundle
from gpu_ops.change import Change, Measure, changes
from gpu_ops.errors import ShapeError
from gpu_ops.refine import View, look
from gpu_ops.vectors import Use, compose

MOST = 0.8  # of the difference between two pictures: the parts that hold so much of it are what changed


@dataclass(frozen=True)
class Example:
    """What a vector does where it was learned: pictures uint8 [1, H, W, 3], masks uint8 [1, H, W]."""

    before: View
    after: View


def show(bundle: Bundle, w_plus: torch.Tensor, delta_w: torch.Tensor) -> Example:
    """The example of a vector delta_w [L, D] on its first point w_plus [1, L, D].

    Drawn as `apply` draws at strength 1: the same bits.
    """
    return Example(look(bundle, w_plus), look(bundle, compose(w_plus, [Use(delta_w, 1.0, "")])))


def from_pairs(before: Sequence[torch.Tensor], after: Sequence[torch.Tensor]) -> torch.Tensor:
    """The vector [L, D] from codes before to codes after, each [1, L, D], the mean of all pairs.

    Raises ShapeError where a code has no partner, or there are none.
    Source: US 2025/0259357 A1, claims 9 and 10.
    """
    if not before or len(before) != len(after):
        raise ShapeError(f"{len(before)} codes before and {len(after)} after are no pairs")
    steps = [new.double() - old.double() for old, new in zip(before, after, strict=True)]  # [1, L, D] each
    mean: torch.Tensor = torch.cat(steps).mean(dim=0)
    return mean.to(before[0])


def what_changed(
    example: Example, parts: Sequence[str], groups: Mapping[str, Sequence[str]], q_edit: tuple[int, ...]
) -> list[Change]:
    """What a vector does to the parts q_edit; the largest change first."""
    return changes(example.before.masks[0], example.after.masks[0], parts, groups, q_edit)


def parts_that_changed(example: Example, parts: Sequence[str]) -> tuple[int, ...]:
    """What a vector is about whose maker did not say: the parts that change in the mask.

    Where none does, those that hold most of what differs in the picture: colours and textures change so.
    """
    every = tuple(range(len(parts)))
    found = {part for change in what_changed(example, parts, {}, every) for part in change.parts}
    return tuple(sorted(found)) or _parts_that_differ(example, len(parts))


def _parts_that_differ(example: Example, part_count: int) -> tuple[int, ...]:
    """The fewest parts that together hold MOST of the squared difference; all where there is none."""
    old, new = (view.pictures[0].astype(np.float64) for view in (example.before, example.after))
    squares = ((new - old) ** 2).sum(axis=2)  # [H, W]
    held = np.bincount(example.before.masks[0].ravel(), weights=squares.ravel(), minlength=part_count)
    order = np.argsort(-held, kind="stable")
    needed = int(np.searchsorted(held[order].cumsum(), MOST * held.sum())) + 1
    return tuple(sorted(order[:needed].tolist()))


def seen_change(bundle: Bundle, example: Example, measure: Measure | None) -> dict[str, float]:
    """How much of a change the example shows, by segmenter and, where there is one, judge."""
    if measure is None:
        return {}
    seen = {"segmenter": measure.of(example.before.masks[0], example.after.masks[0])}
    if bundle.judge is not None:
        judged = bundle.judge.predict(np.concatenate([example.before.pictures, example.after.pictures]))
        seen["judge"] = measure.of(judged[0], judged[1])
    return seen
