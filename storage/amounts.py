"""From an amount of change to a strength, by a vector's transfer report (gpu_ops/transfer_report.py)."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from storage.errors import AmountUnreachable


def fraction(amount: str) -> float:
    """`+25 %` as 0.25."""
    return float(amount.rstrip("% ").strip()) / 100


def strength_for(amount: str, report: Mapping[str, Any], *, field: str = "amount") -> float:
    """The strength at which a vector's report measured this change; on a straight line between two of those
    that it tried, and the one nearest to 0.

    Raises AmountUnreachable where the report measured no change at all, or none as large, saying what it did.
    """
    wanted = fraction(amount)
    table = [(float(strength), float(change)) for strength, change in report.get("table") or []]
    changes = [change for _, change in table]
    if not any(changes):
        raise AmountUnreachable(
            "The vector's transfer report has measured no change to go by.",
            field=field,
            expected="a strength",
        )
    if not min(changes) <= wanted <= max(changes):
        measure, reach = report.get("measure") or {}, f"{_percent(min(changes))} to {_percent(max(changes))}"
        raise AmountUnreachable(
            f"The vector's {measure.get('kind')} of {measure.get('name')} goes from {reach}, at "
            f"strengths of {table[0][0]:g} to {table[-1][0]:g}.",
            field=field,
            expected=f"an amount from {reach}",
        )
    found = [_between(one, other, wanted) for one, other in pairwise(table)]
    return min((strength for strength in found if strength is not None), key=abs)


def _between(one: tuple[float, float], other: tuple[float, float], wanted: float) -> float | None:
    """The strength nearest to 0, between two rows of the table, at which the change is as wanted."""
    (first, before), (last, after) = one, other
    if not min(before, after) <= wanted <= max(before, after):
        return None
    if before == after:
        return min(first, last, key=abs)
    return first + (last - first) * (wanted - before) / (after - before)


def _percent(change: float) -> str:
    return f"{100 * change:+.1f} %"
