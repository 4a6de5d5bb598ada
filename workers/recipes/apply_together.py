"""Waiting `apply` jobs of one model that were claimed at once: their pictures are drawn in common passes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch

from gpu_ops.bundle import Bundle
from gpu_ops.refine import View, look
from workers.recipes.apply_task import BEFORE, ApplyTask, Place
from workers.recipes.inversions import Inverted
from workers.recipes.views import keep_view, known_view

AT_ONCE = {"cpu": 1, "cuda": 8}
"""Codes in one pass. On a CPU, where it is hardly faster, one: so a job gives the same bits every time."""


def draw_together(tasks: Sequence[ApplyTask]) -> None:
    """Put into `views` of each task how its points look, before and with its vectors; not those of pictures
    that are still to be inverted, or have a generator of their own."""
    by_model: dict[str, list[ApplyTask]] = defaultdict(list)
    for task in tasks:
        by_model[task.model.digest].append(task)
    for same in by_model.values():
        width = AT_ONCE[same[0].bundle.device.type]
        if width > 1 and len(same) > 1:
            _draw(same, width)


def _draw(tasks: Sequence[ApplyTask], width: int) -> None:
    wanted = [(task, place, code) for task in tasks for place, code in _codes(task)]
    for start in range(0, len(wanted), width):
        some = wanted[start : start + width]
        views = _looks(some[0][0].bundle, [code for _, _, code in some])
        for (task, place, code), view in zip(some, views, strict=True):
            task.views[place] = view
            if place[1] == BEFORE:
                keep_view(task.model, code, view)


def _looks(bundle: Bundle, codes: Sequence[torch.Tensor]) -> list[View]:
    """Of codes [1, L, D] each, a view each."""
    all_of_them = look(bundle, torch.cat(list(codes)))
    rows = [slice(row, row + 1) for row in range(len(codes))]
    return [View(all_of_them.pictures[row], all_of_them.masks[row]) for row in rows]


def _codes(task: ApplyTask) -> Iterator[tuple[Place, torch.Tensor]]:
    """What is to be drawn, as codes [1, L, D] on the model's device."""
    for row, point in enumerate(task.spec.points):
        given = task.points[point]
        if not isinstance(given, Inverted) or given.weights is not None:
            continue
        code = given.w_plus.to(task.bundle.device)
        known = known_view(task.model, code)
        if known is None:
            yield (row, BEFORE), code
        else:
            task.views[row, BEFORE] = known
        for column in range(len(task.spec.sweep)):
            delta_w = task.change(column, code)
            if delta_w is not None:
                yield (row, column), code + delta_w.to(code)
