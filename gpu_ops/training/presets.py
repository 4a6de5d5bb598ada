"""The presets of an edit compared on held-out renders, by segmenter and judge.

    python -m gpu_ops.training.presets BUNDLE --first-seed 10003000 --count 50

Each picture is inverted once and edited with each preset; the edit is that of gpu_ops/training/edits.py.
Prints a line of means per preset. What the default is, and why: docs/decisions/.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from gpu_ops.bundle import load_bundle
from gpu_ops.edit import EditResult, edit
from gpu_ops.invert import invert
from gpu_ops.presets import PRESETS
from gpu_ops.training.console import report
from gpu_ops.training.edits import SHOWN, exact_edits, inversion_figures, targets
from gpu_ops.training.place import add_device


def figures(result: EditResult) -> dict[str, Any]:
    """Means over the pictures, and the worst that any leaked."""
    means = {name: round(float(np.mean([each[name] for each in result.metrics])), 4) for name in SHOWN}
    worst = round(min(each["psnr_outside_db"] for each in result.metrics), 2)
    return {"n": len(result.metrics), **means, "psnr_worst_db": worst}


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the presets of an edit.")
    parser.add_argument("bundle", type=Path, help="the model's folder")
    parser.add_argument("--first-seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--inversion-steps", type=int, default=500)
    parser.add_argument("--steps", type=int, default=100)
    add_device(parser)
    options = parser.parse_args()
    bundle = load_bundle(options.bundle, options.device)
    edits = exact_edits(bundle.description["name"], options.first_seed, options.count, bundle.resolution_px)
    inverted = report(invert(bundle, edits.pictures, steps=options.inversion_steps), "inverting")
    print(json.dumps(inversion_figures(inverted.pictures, edits)), flush=True)
    wanted = targets(inverted.masks, edits)
    for preset in PRESETS:
        run = edit(bundle, inverted.w_plus, wanted, edits.q_edit, steps=options.steps, preset=preset)
        print(json.dumps({"preset": preset, **figures(report(run, preset))}), flush=True)


if __name__ == "__main__":
    main()
