"""An operation that is sent True does no more steps, and returns the best so far."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from operation import finish

from gpu_ops.bundle import Bundle
from gpu_ops.edit import edit
from gpu_ops.invert import invert
from gpu_ops.picture import Picture, to_uint8
from gpu_ops.sample import sample

Codes = Callable[..., torch.Tensor]


@pytest.fixture(scope="module")
def w_plus(codes: Codes) -> torch.Tensor:
    return codes(1, seed=7)


@pytest.fixture(scope="module")
def target(tiny: Bundle, w_plus: torch.Tensor) -> Picture:
    mask = tiny.draw(w_plus)[1].to(torch.uint8).numpy()
    return np.where(mask == 2, 3, mask).astype(np.uint8)


@pytest.mark.parametrize("stop_at", [1, 4])
def test_an_inversion_stopped_returns_the_best_of_its_steps(
    tiny: Bundle, w_plus: torch.Tensor, stop_at: int
) -> None:
    pictures = to_uint8(tiny.draw(w_plus)[0])
    steps, stopped = finish(invert(tiny, pictures, steps=50), stop_at=stop_at)
    assert [(p.step, p.total) for p in steps] == [(n, 50) for n in range(1, stop_at + 1)]
    assert stopped.steps == stop_at
    assert steps[-1].state is not None
    assert torch.equal(stopped.w_plus, steps[-1].state()["best"])
    assert stopped.losses_last == pytest.approx([min(p.losses["total"] for p in steps)])
    assert np.array_equal(stopped.pictures, to_uint8(tiny.draw(stopped.w_plus)[0]))


@pytest.mark.parametrize("stop_at", [1, 4])
def test_an_edit_stopped_returns_the_best_of_its_steps(
    tiny: Bundle, w_plus: torch.Tensor, target: Picture, stop_at: int
) -> None:
    steps, stopped = finish(edit(tiny, w_plus, target, (2, 3), steps=50), stop_at=stop_at)
    assert len(steps) == stopped.steps == stop_at
    assert steps[-1].state is not None
    assert torch.equal(stopped.delta_w, steps[-1].state()["best"])
    assert stopped.metrics[0]["loss_last"] == pytest.approx(min(p.losses["total"] for p in steps))
    assert np.array_equal(stopped.pictures, to_uint8(tiny.draw(w_plus + stopped.delta_w)[0]))


def test_a_sample_stopped_has_the_pictures_drawn_so_far(tiny: Bundle) -> None:
    _, whole = finish(sample(tiny, [5, 6, 7], 0.7))
    _, stopped = finish(sample(tiny, [5, 6, 7], 0.7), stop_at=2)
    assert np.array_equal(stopped.pictures, whole.pictures[:2])
    assert np.array_equal(stopped.masks, whole.masks[:2])
    assert torch.equal(stopped.w_plus, whole.w_plus[:2])


def test_told_to_stop_after_its_last_step_it_has_lost_nothing(tiny: Bundle, w_plus: torch.Tensor) -> None:
    pictures = to_uint8(tiny.draw(w_plus)[0])
    _, whole = finish(invert(tiny, pictures, steps=3))
    _, told = finish(invert(tiny, pictures, steps=3), stop_at=3)
    assert torch.equal(told.w_plus, whole.w_plus)
    assert told.steps == whole.steps == 3
