"""How a vector that was learned on one render carries over to others, measured.

    python -m gpu_ops.training.carrying BUNDLE --first-seed 10004000 --count 100 --samples 0

The vector is learned on the first scene and applied to the `count` after it, at strength 1: the growth that
the judge sees, over that of the learned example, and what leaked outside, by the vector alone and refined.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gpu_ops.bundle import Bundle, load_bundle
from gpu_ops.change import Measure
from gpu_ops.edit import edit
from gpu_ops.invert import invert
from gpu_ops.learn import seen_change, show
from gpu_ops.picture import Picture
from gpu_ops.refine import View, leak_db, look, refine
from gpu_ops.score import outside_of
from gpu_ops.training.console import report
from gpu_ops.training.edits import ExactEdits, exact_edits, targets
from gpu_ops.training.place import add_device, at_once

ON_CPU = 10


def learn(
    bundle: Bundle, w_plus: torch.Tensor, masks: Picture, edits: ExactEdits, samples: int, steps: int
) -> torch.Tensor:
    """The vector [L, D] of the first render, or of it and so many after it together."""
    some = slice(0, 1 + samples)
    wanted = targets(masks, edits)[some]
    run = edit(bundle, w_plus[some], wanted, edits.q_edit, steps=steps, shared=samples > 0)
    return report(run, "learning").delta_w[0]


def carry(
    bundle: Bundle, w_plus: torch.Tensor, delta_w: torch.Tensor, measure: Measure, refine_steps: int
) -> dict[str, list[float]]:
    """Of codes w_plus [N, L, D]: change by the judge and PSNR outside, by the vector and refined."""
    step = delta_w.expand_as(w_plus)
    refined = report(refine(bundle, w_plus, step, measure.parts, steps=refine_steps), "refining").delta_w
    before, vector, after = (look(bundle, w_plus + each) for each in (0 * step, step, refined))
    outsides = [
        outside_of(old, new, measure.parts) for old, new in zip(before.masks, vector.masks, strict=True)
    ]
    found: dict[str, list[float]] = {}
    for name, view in (("vector", vector), ("refined", after)):
        found[f"change_{name}"] = _changes(bundle, before, view, measure)
        found[f"psnr_{name}_db"] = [
            leak_db(before.pictures[item], view.pictures[item], outside)
            for item, outside in enumerate(outsides)
        ]
    return found


def _changes(bundle: Bundle, before: View, after: View, measure: Measure) -> list[float]:
    assert bundle.judge is not None, "a bundled model of rendered scenes has a judge"
    masks = (bundle.judge.predict(view.pictures) for view in (before, after))
    return [measure.of(old, new) for old, new in zip(*masks, strict=True)]


def figures(found: dict[str, list[float]], example: float) -> dict[str, Any]:
    """Medians, and how many were worse outside for being refined."""
    told: dict[str, Any] = {"n": len(found["change_vector"]), "example_change": round(example, 3)}
    for name in ("vector", "refined"):
        told[f"arrived_{name}"] = round(float(np.nanmedian(found[f"change_{name}"])) / example, 3)
        told[f"psnr_{name}_db"] = round(float(np.median(found[f"psnr_{name}_db"])), 2)
        told[f"psnr_{name}_p10_db"] = round(float(np.percentile(found[f"psnr_{name}_db"], 10)), 2)
    pairs = zip(found["psnr_vector_db"], found["psnr_refined_db"], strict=True)
    return told | {"worse_refined": sum(refined < vector for vector, refined in pairs)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how a vector carries over.")
    parser.add_argument("bundle", type=Path, help="the model's folder")
    parser.add_argument("--first-seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--samples", type=int, default=0, help="learn on so many more, before those measured")
    parser.add_argument("--inversion-steps", type=int, default=500)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--refine-steps", type=int, default=30)
    add_device(parser)
    options = parser.parse_args()
    bundle = load_bundle(options.bundle, options.device)
    chunk = at_once(bundle.device, ON_CPU)
    own = 1 + options.samples
    domain = bundle.description["name"]
    edits = exact_edits(domain, options.first_seed, own + options.count, bundle.resolution_px)
    codes = [
        report(
            invert(bundle, edits.pictures[start : start + chunk], steps=options.inversion_steps), "inverting"
        )
        for start in range(0, len(edits.pictures), chunk)
    ]
    w_plus = torch.cat([each.w_plus for each in codes])
    masks = np.concatenate([each.masks for each in codes])
    delta_w = learn(bundle, w_plus, masks, edits, options.samples, options.steps)
    measure = Measure("growth", "what is edited", edits.q_edit)
    example = seen_change(bundle, show(bundle, w_plus[:1], delta_w), measure)["judge"]
    found: dict[str, list[float]] = {}
    for start in range(own, len(w_plus), chunk):
        part = carry(bundle, w_plus[start : start + chunk], delta_w, measure, options.refine_steps)
        found = {name: found.get(name, []) + values for name, values in part.items()}
    print(json.dumps(figures(found, example)), flush=True)


if __name__ == "__main__":
    main()
