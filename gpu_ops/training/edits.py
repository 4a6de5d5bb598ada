"""Edits of held-out renders, measured: wheels of cars made 1.4 times as large, faces at rest made to smile.

    python -m gpu_ops.training.edits BUNDLE --first-seed 10001000 --count 12 \
        --invert-factors 0.003,0.01,0.1 --edit-factors 0.03,0.1,0.3
    python -m gpu_ops.training.edits BUNDLE --first-seed 10002000 --count 50 --priors 0,0.15

The first form is how the backbone's factors were fitted; edits start from the last inversions. The mask
wanted is the inverted picture's own, changed where the exact masks of the two renders (before, after)
differ. What a backbone's factors turn out to be is recorded by `python -m gpu_ops.training.perceptual`.
"""

import argparse
import json
from collections.abc import Callable
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
from gpu_ops.scenes import cars, faces
from gpu_ops.training.console import report
from gpu_ops.training.domains import DOMAINS
from gpu_ops.training.place import add_device

GROWTH = 1.4
LARGEST_RADIUS = 0.105  # larger wheels would leave the range that scenes are drawn from
SMILE = 0.85
SHOWN = ("iou_before", "iou_after", "judge_iou_before", "judge_iou_after", "psnr_outside_db", "lpips_outside")


@dataclass(frozen=True)
class ExactEdits:
    """pictures uint8 [N, R, R, 3]; before and after uint8 [N, R, R], exact masks; about the parts q_edit."""

    pictures: Picture
    before: Picture
    after: Picture
    q_edit: tuple[int, ...]
    own_from: int  # parts from here on are the subject's


def exact_edits(domain: str, first_seed: int, count: int, size_px: int) -> ExactEdits:
    """The first `count` scenes from first_seed that can be edited within the range of scenes."""
    scenes, (group, edited) = DOMAINS[domain].scenes, EDITS[domain]
    rows: list[tuple[Picture, ...]] = []
    seed = first_seed
    while len(rows) < count:
        scene = scenes.sample_scene(seed)
        seed += 1
        changed = edited(scene)
        if changed is not None:
            rows.append((*scenes.render(scene, size_px), scenes.render(changed, size_px)[1]))
    q_edit = tuple(scenes.PARTS.index(part) for part in scenes.GROUPS[group])
    pictures, before, after = (np.stack(column) for column in zip(*rows, strict=True))
    return ExactEdits(pictures, before, after, q_edit, DOMAINS[domain].own_from)


def with_larger_wheels(scene: cars.Scene) -> cars.Scene | None:
    if scene.wheel_radius > LARGEST_RADIUS:
        return None
    return replace(scene, wheel_radius=scene.wheel_radius * GROWTH)


def smiling(scene: faces.Scene) -> faces.Scene | None:
    if scene.expression != "neutral" or scene.mouth_open > 0:
        return None
    return replace(scene, smile=SMILE)


EDITS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "cars": ("wheel", with_larger_wheels),
    "faces": ("mouth", smiling),
}
"""Of each domain the part group that is edited, and the scene after; None where it cannot be."""


def targets(masks: Picture, edits: ExactEdits) -> Picture:
    """The masks wanted of inverted pictures whose masks are uint8 [N, R, R]."""
    wanted: Picture = np.where(edits.before != edits.after, edits.after, masks)
    return wanted


def measure(
    bundle: Bundle,
    w_plus: torch.Tensor,
    wanted: Picture,
    q_edit: tuple[int, ...],
    *,
    factor: float,
    prior: float,
    steps: int,
) -> dict[str, Any]:
    """Mean scores of edits of w_plus [N, L, D] towards masks uint8 [N, R, R]."""
    bundle.perceptual.edit_factor = factor
    run = edit(bundle, w_plus, wanted, q_edit, steps=steps, lambda_prior=prior)
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


def inversion_figures(found: Picture, edits: ExactEdits) -> dict[str, float]:
    """Mean PSNR of inverted pictures uint8 [N, R, R, 3], over all pixels and over the subject's own."""
    own = edits.before >= edits.own_from
    pairs = list(zip(found, edits.pictures, own, strict=True))
    return {
        "psnr_db": round(float(np.mean([psnr_db(mine, theirs) for mine, theirs, _ in pairs])), 2),
        "psnr_own_db": round(float(np.mean([psnr_db(*each) for each in pairs])), 2),
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
    add_device(parser)
    options = parser.parse_args()
    bundle = load_bundle(options.bundle, options.device)
    domain = bundle.description["name"]
    edits = exact_edits(domain, options.first_seed, options.count, bundle.resolution_px)
    for factor in numbers(options.invert_factors) or [bundle.perceptual.invert_factor]:
        bundle.perceptual.invert_factor = factor
        inverted = report(invert(bundle, edits.pictures), "inverting")
        print(
            json.dumps({"invert_factor": factor, **inversion_figures(inverted.pictures, edits)}), flush=True
        )
    wanted = targets(inverted.masks, edits)
    factors = numbers(options.edit_factors) or [bundle.perceptual.edit_factor]
    for factor, prior in product(factors, numbers(options.priors)):
        row = measure(
            bundle, inverted.w_plus, wanted, edits.q_edit, factor=factor, prior=prior, steps=options.steps
        )
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
