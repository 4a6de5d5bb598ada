"""The transfer report: each figure computed again by itself, and what is made of them by hand."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from operation import finish

from gpu_ops.bundle import Bundle
from gpu_ops.change import Measure
from gpu_ops.sample import seeded_code
from gpu_ops.transfer import FIGURES, Trial, refined_gain, transfer
from gpu_ops.transfer_report import monotone, recommended, report

Codes = Callable[..., torch.Tensor]
SEEDS = [5, 6, 7]
MEASURE = Measure("growth", "body", (1,))


@pytest.fixture(scope="module")
def trial(codes: Codes) -> Trial:
    return Trial(0.4 * (codes(1, seed=4)[0] - codes(1, seed=3)[0]), (1,), MEASURE, strengths=(-1.0, 0.5))


def test_figures_are_those_of_each_sample_by_itself(tiny: Bundle, trial: Trial) -> None:
    _, rows = finish(transfer(tiny, trial, SEEDS))
    assert rows.shape == (3, 2, len(FIGURES))
    w_plus = seeded_code(tiny, 6, 0.7)
    (before, old), (after, new) = (tiny.draw(w_plus + s * trial.delta_w) for s in (0, 0.5))
    told = dict(zip(FIGURES, rows[1, 1], strict=True))
    assert told["change_segmenter"] == pytest.approx(float((new == 1).sum() / (old == 1).sum()) - 1, abs=0.02)
    near = torch.nn.functional.max_pool2d(((old == 1) | (new == 1)).float(), 3, 1, 1)[0] > 0
    levels = [picture.clamp(-1, 1) * 127.5 for picture in (before, after)]
    squares = ((levels[1] - levels[0]) ** 2)[0].mean(dim=0)[~near].mean()
    assert told["psnr_outside_db"] == pytest.approx(float(10 * torch.log10(255**2 / squares)), abs=0.1)
    assert 0 <= told["iou_segmenter"] <= 1
    assert told["lpips_outside"] > 0


def test_a_cut_and_a_restart_change_no_bit(tiny: Bundle, trial: Trial) -> None:
    _, whole = finish(transfer(tiny, trial, SEEDS))
    run = transfer(tiny, trial, SEEDS)
    next(run)
    progress = next(run)
    assert progress.state is not None
    seen, resumed = finish(transfer(tiny, trial, SEEDS, resume=progress.state()))
    assert [each.step for each in seen] == [3]
    assert resumed.tobytes() == whole.tobytes()


def test_stopped_it_reports_on_the_samples_so_far(tiny: Bundle, trial: Trial) -> None:
    _, rows = finish(transfer(tiny, trial, SEEDS), stop_at=2)
    assert len(rows) == 2


def test_what_no_judge_sees_is_not_a_number(tiny: Bundle, trial: Trial) -> None:
    _, rows = finish(transfer(replace(tiny, judge=None), replace(trial, measure=None), SEEDS[:1]))
    told = dict(zip(FIGURES, rows[0, 0], strict=True))
    assert np.isnan([told[name] for name in ("change_segmenter", "change_judge", "iou_judge")]).all()


def test_what_refinement_gives_is_measured_and_never_negative(tiny: Bundle, trial: Trial) -> None:
    _, gain_db = finish(refined_gain(tiny, replace(trial, q_edit=(2,)), SEEDS), stop_at=2)
    assert gain_db >= 0


def figures(**columns: Any) -> np.ndarray:
    """Rows of samples at strengths -1, 0.5, 1: each column [samples][strengths]."""
    given = {name: columns.get(name, np.full((3, 3), np.nan)) for name in FIGURES}
    return np.stack([np.asarray(given[name], np.float64) for name in FIGURES], axis=2)


def told(**columns: Any) -> dict[str, Any]:
    seen = {"segmenter": 0.4, "judge": 0.5}
    return report(figures(**columns), (-1.0, 0.5, 1.0), MEASURE, seen, seed=1, gain_db=2.5)


JUDGED = [[-0.1, 0.2, 0.3], [-0.2, 0.25, 0.4], [-0.3, 0.3, np.nan]]
LEAKS = [[24.0, 31.0, 25.0], [27.0, 32.0, 28.0], [28.0, np.inf, 29.0]]


def test_medians_shares_and_ranges_by_hand() -> None:
    found = told(change_judge=JUDGED, change_segmenter=np.asarray(JUDGED) * 2, psnr_outside_db=LEAKS)
    assert found["by"] == "judge"
    assert found["measure"]["example"] == {"segmenter": 0.4, "judge": 0.5}
    at = {row["strength"]: row for row in found["strengths"]}
    assert (at[0.5]["change"], at[0.5]["measured"], at[1.0]["measured"]) == (0.25, 3, 2)
    assert at[1.0]["change"] == pytest.approx(0.35)
    assert at[1.0]["arrived_judge"] == pytest.approx(0.7)
    assert at[1.0]["arrived_segmenter"] == pytest.approx(0.7 / 0.4)
    assert at[0.5]["psnr_outside_db"] == 32.0
    assert at[0.5]["change_p10"] == pytest.approx(0.21)
    assert found["table"] == [[-1.0, -0.2], [0.0, 0.0], [0.5, 0.25], [1.0, pytest.approx(0.35)]]
    assert found["recommended"] == [-1.0, 1.0]
    assert found["refinement_advised"] is True  # 28 dB at strength 1
    assert found["refinement"]["gain_db"] == 2.5


def test_without_a_judge_that_sees_it_the_segmenter_counts() -> None:
    rows = figures(change_segmenter=JUDGED, psnr_outside_db=LEAKS)
    for judge in (float("nan"), 0.0, -0.3):
        seen = {"segmenter": 0.4, "judge": judge}
        assert report(rows, (-1.0, 0.5, 1.0), MEASURE, seen, seed=1, gain_db=0.0)["by"] == "segmenter"


def test_a_vector_that_changes_no_part_has_no_table() -> None:
    found = report(figures(psnr_outside_db=LEAKS), (-1.0, 0.5, 1.0), None, {}, seed=1, gain_db=float("nan"))
    assert (found["measure"], found["table"], found["recommended"]) == (None, [], None)


def test_strengths_that_leak_too_much_are_not_recommended() -> None:
    table = [[-1.0, -0.3], [0.0, 0.0], [0.5, 0.2], [1.0, 0.3], [2.0, 0.3]]
    assert recommended(table, {-1.0: 30.0, 0.5: 30.0, 1.0: 27.0, 2.0: 26.5}) == [-1.0, 1.0]  # no more at 2
    leaky = {-1.0: 20.0, 0.5: 30.0, 1.0: 24.0, 2.0: 20.0}
    low, high = recommended(table, leaky) or (0, 0)
    assert low == pytest.approx(-(10 ** (-6 / 20)), abs=0.01)  # 6 dB too many: half as strong
    assert high == pytest.approx(10 ** (-2 / 20), abs=0.01)
    assert recommended([[0.0, 0.0]], {}) is None


@given(st.dictionaries(st.sampled_from([-2.0, -1.0, 0.5, 1.0, 2.0]), st.floats(-1, 1)), st.booleans())
def test_a_table_only_rises_or_only_falls(medians: dict[float, float], falls: bool) -> None:
    table = np.array(monotone(medians, -1.0 if falls else 1.0))
    assert (np.diff(table[:, 0]) > 0).all()
    steps = np.diff(table[:, 1])
    assert ((steps <= 0) if falls else (steps >= 0)).all()
    assert [0.0, 0.0] in table.tolist()
