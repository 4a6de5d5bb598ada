"""From an amount of change to a strength."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.amounts import fraction, strength_for
from storage.errors import AmountUnreachable


def report(*table: tuple[float, float]) -> dict[str, Any]:
    return {"table": [list(row) for row in table], "measure": {"kind": "growth", "name": "wheel"}}


RISING = report((-1, -0.2), (-0.5, -0.2), (0, 0), (0.5, 0.25), (1, 0.5), (2, 0.7))
FALLING = report((-1, 0.4), (0, 0), (1, -0.3), (2, -0.3))


@pytest.mark.parametrize(
    ("amount", "told", "strength"),
    [
        ("+25 %", RISING, 0.5),
        ("25%", RISING, 0.5),
        ("+60 %", RISING, 1.5),
        ("0 %", RISING, 0),
        ("-20 %", RISING, -0.5),  # level from there on: the one nearest to 0
        ("-10 %", RISING, -0.25),
        ("-15 %", FALLING, 0.5),
        ("+10 %", FALLING, -0.25),
        ("-30 %", FALLING, 1),
    ],
)
def test_amounts_lie_on_straight_lines_between_what_was_measured(
    amount: str, told: dict[str, Any], strength: float
) -> None:
    assert strength_for(amount, told) == pytest.approx(strength)


def test_an_amount_out_of_reach_is_refused_with_what_is_in_reach() -> None:
    with pytest.raises(AmountUnreachable) as caught:
        strength_for("+71 %", RISING, field="vectors.0.amount")
    assert caught.value.field == "vectors.0.amount"
    assert caught.value.expected == "an amount from -20.0 % to +70.0 %"
    assert "growth of wheel" in caught.value.detail
    with pytest.raises(AmountUnreachable):
        strength_for("-21 %", RISING)


@pytest.mark.parametrize(
    "told", [{}, {"table": []}, {"table": [[0.0, 0.0]]}, report((-1, 0), (0, 0), (1, 0))]
)
def test_a_report_that_measured_nothing_turns_no_amount_into_a_strength(told: dict[str, Any]) -> None:
    with pytest.raises(AmountUnreachable, match="no change"):
        strength_for("+5 %", told)


@given(st.floats(-0.199, 0.699))
def test_the_change_at_the_strength_is_the_one_asked_for(wanted: float) -> None:
    strength = strength_for(f"{100 * wanted:.3f} %", RISING)
    strengths, measured = zip(*RISING["table"], strict=True)
    assert np.interp(strength, strengths, measured) == pytest.approx(wanted, abs=2e-5)


def test_percent_is_a_hundredth() -> None:
    assert [fraction(text) for text in ("+25 %", "-12.5%", "7 %")] == [0.25, -0.125, 0.07]
