"""How well a vector carries over: applied at several strengths to fresh samples.

Inside, how much of the change that it was learned for arrives (gpu_ops/change.py), by the segmenter and by
the judge. Outside, what else changes: PSNR, LPIPS, and the IoU of the parts there. From this come the range
of strengths to recommend, whether refinement is advised, and the table that turns an amount of change into
a strength (storage/amounts.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from gpu_ops.bundle import Bundle
from gpu_ops.change import Measure
from gpu_ops.metrics import Flags, part_ious
from gpu_ops.picture import Picture
from gpu_ops.progress import Progress, State, Steps
from gpu_ops.refine import look, refine
from gpu_ops.sample import seeded_code
from gpu_ops.score import leak, outside_of

STRENGTHS = (-1.0, -0.5, 0.5, 1.0, 1.5, 2.0)
TRUNCATION_PSI = 0.7
REFINED_SAMPLES, REFINE_STEPS = 4, 30
FIGURES = (
    "change_segmenter",
    "change_judge",
    "psnr_outside_db",
    "lpips_outside",
    "iou_segmenter",
    "iou_judge",
)
Rows = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """A vector delta_w [L, D] on trial, about the parts q_edit; measure: None where no part changes."""

    delta_w: torch.Tensor
    q_edit: tuple[int, ...]
    measure: Measure | None
    strengths: tuple[float, ...] = STRENGTHS


def transfer(
    bundle: Bundle, trial: Trial, seeds: Sequence[int], *, resume: State | None = None
) -> Steps[Rows]:
    """Apply the vector to the samples of seeds, at each of its strengths.

    Yields Progress after each sample; early when sent True. Returns [samples, strengths, figures] float64
    in the order of FIGURES: NaN where something cannot be measured, or the model has no judge.
    """
    rows = [] if resume is None else list(resume["rows"].numpy())
    while len(rows) < len(seeds):
        w_plus = seeded_code(bundle, seeds[len(rows)], TRUNCATION_PSI)
        rows.append(_measure(bundle, trial, w_plus))
        kept = torch.from_numpy(np.stack(rows))
        enough = yield Progress(len(rows), len(seeds), state=partial(_state, kept))
        if enough:
            break
    return np.stack(rows)


def _state(rows: torch.Tensor) -> State:
    return {"rows": rows.clone()}


def _measure(bundle: Bundle, trial: Trial, w_plus: torch.Tensor) -> Rows:
    """The figures of one sample w_plus [1, L, D]: [strengths, figures]."""
    scale = torch.tensor((0.0, *trial.strengths)).to(w_plus)[:, None, None]
    view = look(bundle, w_plus + scale * trial.delta_w.to(w_plus))  # [1 + strengths, ...]
    judged = None if bundle.judge is None else bundle.judge.predict(view.pictures)
    rows = np.full((len(trial.strengths), len(FIGURES)), np.nan)
    for index in range(len(rows)):
        at = index + 1
        outside = outside_of(view.masks[0], view.masks[at], trial.q_edit)
        figures = leak(bundle, view.pictures[0], view.pictures[at], outside)
        for who, masks in (("segmenter", view.masks), ("judge", judged)):
            if masks is not None:
                figures[f"iou_{who}"] = _iou_outside(masks[0], masks[at], outside, len(bundle.parts))
                if trial.measure is not None:
                    figures[f"change_{who}"] = trial.measure.of(masks[0], masks[at])
        rows[index] = [np.nan if figures.get(name) is None else figures[name] for name in FIGURES]
    return rows


def _iou_outside(before: Picture, after: Picture, outside: Flags, part_count: int) -> float:
    """Mean IoU of the parts that either mask shows outside; NaN where nothing is outside."""
    if not outside.any():
        return float("nan")
    return float(np.nanmean(part_ious(after[outside], before[outside], part_count)))


def refined_gain(
    bundle: Bundle, trial: Trial, seeds: Sequence[int], *, resume: State | None = None
) -> Steps[float]:
    """What REFINE_STEPS of refinement give at strength 1, outside: the median over the first samples, in dB.

    NaN where nothing leaks that refinement could take back.
    """
    codes = [seeded_code(bundle, seed, TRUNCATION_PSI) for seed in seeds[:REFINED_SAMPLES]]
    w_plus = torch.cat(codes)
    delta_w = trial.delta_w.to(w_plus).expand_as(w_plus)
    refined = yield from refine(bundle, w_plus, delta_w, trial.q_edit, steps=REFINE_STEPS, resume=resume)
    before, applied, after = (look(bundle, w_plus + step) for step in (0 * delta_w, delta_w, refined.delta_w))
    gains = []
    for item, mask in enumerate(applied.masks):
        outside = outside_of(before.masks[item], mask, trial.q_edit)
        first, second = (
            leak(bundle, before.pictures[item], view.pictures[item], outside)["psnr_outside_db"]
            for view in (applied, after)
        )
        if first is not None and np.isfinite(first) and np.isfinite(second):
            gains.append(second - first)
    return float(np.median(gains)) if gains else float("nan")
