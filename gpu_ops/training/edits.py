"""Edits of held-out renders, measured: the wheels of cars made 1.4 times as large.

    python -m gpu_ops.training.edits BUNDLE --first-seed 10001000 --count 12 \
        --invert-factors 0.003,0.01,0.1 --edit-factors 0.03,0.1,0.3
    python -m gpu_ops.training.edits BUNDLE --first-seed 10002000 --count 50 --priors 0,0.15

The first form is how the backbone's factors were fitted; edits start from the last inversions. The mask
wanted is the inverted picture's own, changed where the exact masks of the two renders (old wheels, larger
wheels) differ.
"""

import argparse
import json
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gpu_ops.bundle import Bundle, load_bundle
from gpu_ops.edit import edit
from gpu_ops.invert import invert
from gpu_ops.metrics import psnr_db
from gpu_ops.picture import Picture
from gpu_ops.scenes.cars import GROUPS, PARTS, render, sample_scene
from gpu_ops.training.console import report

GROWTH = 1.4
LARGEST_RADIUS = 0.105  # larger wheels would leave the range that scenes are drawn from
Q_EDIT = tuple(PARTS.index(part) for part in GROUPS["wheel"])
SHOWN = ("iou_before", "iou_after", "judge_iou_before", "judge_iou_after", "psnr_outside_db", "lpips_outside")


@dataclass(frozen=True)
class WheelEdits:
    """pictures uint8 [N, R, R, 3]; before and after uint8 [N, R, R], exact masks with old and new wheels."""

    pictures: Picture
    before: Picture
    after: Picture


def wheel_edits(first_seed: int, count: int, size_px: int) -> WheelEdits:
    """The first `count` scenes from first_seed whose wheels can grow within the range of scenes."""
    rows: list[tuple[Picture, ...]] = []
    seed = first_seed
    while len(rows) < count:
        scene = sample_scene(seed)
        seed += 1
        if scene.wheel_radius <= LARGEST_RADIUS:
            larger = replace(scene, wheel_radius=scene.wheel_radius * GROWTH)
            rows.append((*render(scene, size_px), render(larger, size_px)[1]))
    return WheelEdits(*(np.stack(column) for column in zip(*rows, strict=True)))


def targets(masks: Picture, edits: WheelEdits) -> Picture:
    """The masks wanted of inverted pictures whose masks are uint8 [N, R, R]."""
    wanted: Picture = np.where(edits.before != edits.after, edits.after, masks)
    return wanted


def measure(
    bundle: Bundle, w_plus: torch.Tensor, wanted: Picture, *, factor: float, prior: float, steps: int
) -> dict[str, Any]:
    """Mean scores of edits of w_plus [N, L, D] towards masks uint8 [N, R, R]."""
    bundle.perceptual.edit_factor = factor
    run = edit(bundle, w_plus, wanted, Q_EDIT, steps=steps, lambda_prior=prior)
    metrics = report(run, f"factor {factor} prior {prior}").metrics
    means = {name: round(float(np.mean([each[name] for each in metrics])), 4) for name in SHOWN}
    worst = round(min(each["psnr_outside_db"] for each in metrics), 2)
    return {
        "n": len(metrics),
        "edit_factor": factor,
        "prior": prior,
        "steps": steps,
        **means,
        "psnr_worst_db": worst,
    }


def inversion_figures(found: Picture, edits: WheelEdits) -> dict[str, float]:
    """Mean PSNR of inverted pictures uint8 [N, R, R, 3], over all pixels and over the car's own."""
    own = edits.before >= PARTS.index("body")
    pairs = list(zip(found, edits.pictures, own, strict=True))
    return {
        "psnr_db": round(float(np.mean([psnr_db(mine, theirs) for mine, theirs, _ in pairs])), 2),
        "psnr_in_car_db": round(float(np.mean([psnr_db(*each) for each in pairs])), 2),
    }


def numbers(text: str) -> list[float]:
    return [float(each) for each in text.split(",") if each]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure edits of held-out renders.")
    parser.add_argument("bundle", type=Path, help="the model's folder")
    parser.add_argument("--first-seed", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--invert-factors", default="", help="comma separated; by default the recorded one")
    parser.add_argument("--edit-factors", default="", help="comma separated; by default the recorded one")
    parser.add_argument("--priors", default="0.15", help="comma separated")
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    bundle = load_bundle(options.bundle)
    edits = wheel_edits(options.first_seed, options.count, bundle.resolution_px)
    for factor in numbers(options.invert_factors) or [bundle.perceptual.invert_factor]:
        bundle.perceptual.invert_factor = factor
        inverted = report(invert(bundle, edits.pictures), "inverting")
        print(
            json.dumps({"invert_factor": factor, **inversion_figures(inverted.pictures, edits)}), flush=True
        )
    wanted = targets(inverted.masks, edits)
    factors = numbers(options.edit_factors) or [bundle.perceptual.edit_factor]
    for factor, prior in product(factors, numbers(options.priors)):
        row = measure(bundle, inverted.w_plus, wanted, factor=factor, prior=prior, steps=options.steps)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
