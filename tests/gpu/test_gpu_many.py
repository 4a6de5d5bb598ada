"""Many items in one tensor step on a GPU are the items alone; where memory ends, fewer go at a time.

In float64 the numbers of optimisations are the same but for the last digits; in float32 Adam carries rounding
on from step to step.
"""

import gc

import numpy as np
import pytest
import torch
from nearness import finish, levels, unlike

from gpu_ops.edit import edit
from gpu_ops.invert import invert
from gpu_ops.many.applying import ApplyTask, Drawing
from gpu_ops.many.editing import Editing, EditTask
from gpu_ops.many.events import Failed, Finished, Tick
from gpu_ops.many.inverting import Inverting
from gpu_ops.many.loop import many
from gpu_ops.many.width import best_width
from gpu_ops.refine import look

LR, STEPS = 0.01, 3


def all_of(work, tasks, width: int) -> dict[int, object]:
    found = {}
    for event in many(work, enumerate(tasks), width=width):
        assert not isinstance(event, Failed), event
        if isinstance(event, Finished):
            found[event.key] = event.result
    return found


def assert_within_rounding(found: torch.Tensor, alone: torch.Tensor) -> None:
    """Steps are 0.01; where a slope is nearly nothing, Adam makes more of its last digits."""
    apart = (found - alone).abs().flatten()
    assert float(apart.quantile(0.99)) <= 1e-7
    assert float(apart.max()) <= 1e-3


def test_inversions_together_are_each_alone(wide, codes) -> None:
    pictures = look(wide, codes[:5].to(wide.device)).pictures
    found = all_of(Inverting(wide, steps=STEPS, lr=LR), pictures, width=3)
    for n in range(5):
        _, alone = finish(invert(wide, pictures[n : n + 1], steps=STEPS, lr=LR))
        assert_within_rounding(found[n].w_plus, alone.w_plus)
        assert found[n].losses_last == pytest.approx(alone.losses_last, rel=1e-5)


def test_edits_together_are_each_alone(wide, codes) -> None:
    w_plus = codes[:5].to(wide.device)
    masks = look(wide, w_plus).masks
    wheel = tuple(wide.parts.index(name) for name in wide.description["groups"]["wheel"])
    moved = np.roll(masks, 3, axis=2)
    targets = np.where(np.isin(moved, wheel), moved, masks)
    tasks = [EditTask(w_plus[n : n + 1], targets[n], wheel) for n in range(5)]
    found = all_of(Editing(wide, steps=STEPS, lr=LR), tasks, width=3)
    for n, task in enumerate(tasks):
        run = edit(wide, task.w_plus, task.target_mask[None], wheel, steps=STEPS, lr=LR)
        _, alone = finish(run)
        assert_within_rounding(found[n].delta_w, alone.delta_w)
        last = alone.metrics[0]["loss_last"]
        assert found[n].metrics[0]["loss_last"] == pytest.approx(last, rel=1e-5)


def test_pictures_drawn_together_are_within_a_grey_level(cars, codes) -> None:
    w_plus = codes.float().to(cars.device)
    tasks = [ApplyTask(w_plus[n : n + 1], 0.3 * (w_plus[0] - w_plus[n])) for n in range(8)]
    found = all_of(Drawing(cars), tasks, width=8)
    for n, task in enumerate(tasks):
        alone = look(cars, task.w_plus + task.delta_w)
        assert levels(found[n].pictures, alone.pictures) <= 1
        assert unlike(found[n].masks, alone.masks) <= 0.002


def test_the_best_width_is_measured(cars, codes) -> None:
    picture = look(cars, codes[:1].float().to(cars.device)).pictures[0]
    found = best_width(Inverting(cars), picture, most=16, within_s=3.0)
    assert found.width in found.items_per_s
    assert found.items_per_s[found.width] >= 0.95 * max(found.items_per_s.values())


def test_where_memory_runs_out_the_width_is_halved_and_every_item_done(cars, codes, device: str) -> None:
    if device != "cuda":
        pytest.skip("the memory of a CPU cannot be limited so")
    pictures = [look(cars, codes[n % 8 :][:1].float().to(device)).pictures[0] for n in range(16)]
    work = Inverting(cars, steps=STEPS)
    needs = {}
    for width in (1, 16):
        _clear()
        all_of(work, pictures[:width], width=width)
        needs[width] = torch.cuda.max_memory_reserved()
    assert needs[16] > needs[1]
    _clear()
    limit = (needs[1] + needs[16]) / 2
    torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.get_device_properties(0).total_memory)
    try:
        events = list(many(work, enumerate(pictures), width=16))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        _clear()
    assert {event.key for event in events if isinstance(event, Finished)} == set(range(16))
    assert not [event for event in events if isinstance(event, Failed)]
    widths = [event.width for event in events if isinstance(event, Tick)]
    assert 1 <= min(widths) < 16


def _clear() -> None:
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
