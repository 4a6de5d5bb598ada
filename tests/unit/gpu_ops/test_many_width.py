"""How many at once: measured on steps whose time is known."""

import time

import pytest
import torch
from bowls import Bowl, BowlWork

from gpu_ops.errors import ShapeError
from gpu_ops.many.width import best_width

pytestmark = pytest.mark.thorough

BOWL = Bowl(torch.zeros(1, 2, 2))


def test_it_grows_while_a_wider_step_takes_no_longer() -> None:
    found = best_width(BowlWork(step_s=lambda rows: 0.01), BOWL, most=8)
    assert found.width == 8
    assert list(found.items_per_s) == [1, 2, 4, 8]
    assert found.items_per_s[1] <= 100


def test_it_stays_narrow_where_width_gains_nothing_and_does_not_go_on_for_long() -> None:
    found = best_width(BowlWork(step_s=lambda rows: 0.012 * rows**1.5), BOWL)
    assert found.width == 1
    assert list(found.items_per_s) == [1, 2, 4]


def test_one_width_without_gain_does_not_end_it() -> None:
    took_s = {1: 0.012, 2: 0.03, 4: 0.024, 8: 0.08, 16: 0.18}
    found = best_width(BowlWork(step_s=took_s.__getitem__), BOWL)
    assert found.width == 4
    assert list(found.items_per_s) == [1, 2, 4, 8, 16]


def test_it_ends_where_memory_does() -> None:
    found = best_width(BowlWork(fits=5, step_s=lambda rows: 0.005), BOWL)
    assert found.width == 4
    assert list(found.items_per_s) == [1, 2, 4]
    assert best_width(BowlWork(fits=0), BOWL).width == 1


def test_it_takes_no_longer_than_it_may() -> None:
    began = time.perf_counter()
    found = best_width(BowlWork(step_s=lambda rows: 0.03), BOWL, within_s=0.4)
    assert time.perf_counter() - began < 1
    assert found.width in (1, 2, 4)
    assert len(found.items_per_s) < 4


def test_a_task_without_steps_is_no_measure_and_a_wrong_one_an_error() -> None:
    assert best_width(BowlWork(), Bowl(torch.zeros(1, 2, 2), steps=0)).width == 1
    with pytest.raises(ShapeError):
        best_width(BowlWork(), Bowl(torch.zeros(2, 2)))
