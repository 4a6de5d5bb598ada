"""How many steps a start takes, read off a curve."""

import pytest

from gpu_ops.training.starting import steps_to


def test_steps_between_two_points_lie_on_the_logarithm() -> None:
    curve = {100: 24.0, 400: 28.0, 1600: 29.0}
    assert steps_to(26.0, curve) == pytest.approx(200)
    assert steps_to(28.0, curve) == pytest.approx(400)


def test_what_is_reached_at_once_takes_the_fewest_steps_and_what_never_is_none() -> None:
    assert steps_to(20.0, {30: 21.0, 60: 22.0}) == 30
    assert steps_to(23.0, {30: 21.0, 60: 22.0}) is None
