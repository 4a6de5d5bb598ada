"""What the figures of a transfer say: a vector's report, as it is kept with the vector. NumPy alone.

samples, seed, truncation_psi   what it was measured on
measure     kind, name, parts of what is measured, and `example`: how much of it the learned example shows, by
            segmenter and judge; None where the vector changes no part
by          whose measurement `change` and `table` are: the judge's, where there is one that sees the change
strengths   for each: change (median, p10, p90, and of how many samples), arrived (the median over the
            example's, by segmenter and judge), and outside the region medians of PSNR (p10 too), LPIPS,
            and IoU by segmenter and judge
table       [strength, change] pairs, strengths rising, change rising or falling throughout, 0 at 0
recommended [lowest, highest] strength at which the change still grows and the rest keeps LEAST_DB; or None
refinement  steps, samples, gain_db: what refinement gave at strength 1
refinement_advised   whether the rest keeps less than ENOUGH_DB at strength 1
"""

from collections.abc import Mapping, Sequence
from math import floor
from typing import Any

import numpy as np

from gpu_ops.apply import ENOUGH_DB, LEAST_DB
from gpu_ops.change import Measure
from gpu_ops.transfer import FIGURES, REFINE_STEPS, REFINED_SAMPLES, TRUNCATION_PSI, Rows

JUDGES = ("segmenter", "judge")
NOTHING_DB = 100.0  # stands for the infinite PSNR of pictures in which nothing changed


def report(
    rows: Rows,
    strengths: Sequence[float],
    measure: Measure | None,
    example: Mapping[str, float],
    *,
    seed: int,
    gain_db: float,
) -> dict[str, Any]:
    """The report on rows [samples, strengths, figures]; example: what was learned, by segmenter and judge."""
    by = _measured_by(example)
    each = [_at(rows[:, index], strength, example, by) for index, strength in enumerate(strengths)]
    medians = {row["strength"]: row["change"] for row in each if row["change"] is not None}
    table = monotone(medians, example.get(by, float("nan"))) if measure is not None else []
    leaks = {row["strength"]: row["psnr_outside_db"] for row in each}
    return {
        "samples": len(rows),
        "seed": seed,
        "truncation_psi": TRUNCATION_PSI,
        "by": by,
        "measure": None if measure is None else _measured(measure, example),
        "strengths": each,
        "table": table,
        "recommended": recommended(table, leaks),
        "refinement": {"steps": REFINE_STEPS, "samples": min(REFINED_SAMPLES, len(rows)), "gain_db": gain_db},
        "refinement_advised": leaks.get(1.0) is not None and leaks[1.0] < ENOUGH_DB,
    }


def _measured_by(example: Mapping[str, float]) -> str:
    """The judge, unless it sees none of the change, or the opposite."""
    seen, judged = (example.get(who, float("nan")) for who in JUDGES)
    return "judge" if seen * judged > 0 else "segmenter"


def _measured(measure: Measure, example: Mapping[str, float]) -> dict[str, Any]:
    return {
        "kind": measure.kind,
        "name": measure.name,
        "parts": list(measure.parts),
        "example": {who: example.get(who, float("nan")) for who in JUDGES},
    }


def _at(rows: Rows, strength: float, example: Mapping[str, float], by: str) -> dict[str, Any]:
    """What the samples show at one strength: rows [samples, figures]."""
    column = dict(zip(FIGURES, rows.T, strict=True))
    change = column[f"change_{by}"]
    arrived = {who: _median(column[f"change_{who}"]) for who in JUDGES}
    return {
        "strength": strength,
        "change": _median(change),
        "change_p10": _percentile(change, 10),
        "change_p90": _percentile(change, 90),
        "measured": int(np.isfinite(change).sum()),
        **{f"arrived_{who}": _share(value, example.get(who)) for who, value in arrived.items()},
        "psnr_outside_db": _median(column["psnr_outside_db"]),
        "psnr_outside_p10_db": _percentile(column["psnr_outside_db"], 10),
        "lpips_outside": _median(column["lpips_outside"]),
        **{f"iou_outside_{who}": _median(column[f"iou_{who}"]) for who in JUDGES},
    }


def _median(values: Rows) -> float | None:
    return _percentile(values, 50)


def _percentile(values: Rows, percent: float) -> float | None:
    """None where nothing could be measured."""
    known = values[~np.isnan(values)]
    return float(np.percentile(np.minimum(known, NOTHING_DB), percent)) if len(known) else None


def _share(change: float | None, example: float | None) -> float | None:
    return change / example if change is not None and example else None


def monotone(medians: Mapping[float, float], towards: float) -> list[list[float]]:
    """Strengths and changes as a table that only rises, or only falls where `towards` is negative.

    A change that turns back at a higher strength counts as no further change: from there on it is level.
    """
    sign = -1.0 if towards < 0 else 1.0
    rising, falling = [], []
    reached = 0.0
    for strength in sorted(strength for strength in medians if strength > 0):
        reached = max(reached, sign * medians[strength])
        rising.append([strength, sign * reached])
    reached = 0.0
    for strength in sorted((strength for strength in medians if strength < 0), reverse=True):
        reached = min(reached, sign * medians[strength])
        falling.append([strength, sign * reached])
    return [*reversed(falling), [0.0, 0.0], *rising]


def recommended(table: Sequence[Sequence[float]], leaks: Mapping[float, float | None]) -> list[float] | None:
    """The range of strengths that do more the stronger they are, and leave the rest at LEAST_DB or better."""
    ends = [_furthest(table, leaks, sign) for sign in (-1.0, 1.0)]
    return None if ends == [0.0, 0.0] else ends


def _furthest(table: Sequence[Sequence[float]], leaks: Mapping[float, float | None], sign: float) -> float:
    steps = sorted((row for row in table if row[0] * sign > 0), key=lambda row: abs(row[0]))
    reached, last_change = 0.0, 0.0
    for strength, change in steps:
        leak_db = leaks.get(strength)
        if abs(change) <= abs(last_change):
            break
        if leak_db is not None and leak_db < LEAST_DB:
            # what leaks grows as the strength does: 6 dB for twice as much
            fitting = abs(strength) * 10 ** ((leak_db - LEAST_DB) / 20)
            return sign * floor(100 * max(abs(reached), fitting)) / 100
        reached, last_change = strength, change
    return reached
