"""What an encoder is worth as the start of inversions: the same renders inverted from both starts, measured.

    python -m gpu_ops.training.starting BUNDLE --first-seed 10006000 --count 20 --steps 60,125,250,500

P is the mean PSNR from w_avg after the most steps; told is how many steps each start takes to P - 0.5 dB.
"""

import argparse
import json
from itertools import pairwise
from pathlib import Path

import numpy as np

from gpu_ops.bundle import Bundle, load_bundle
from gpu_ops.invert import Start, invert
from gpu_ops.picture import Picture
from gpu_ops.scenes.dataset import render_many
from gpu_ops.training.console import report
from gpu_ops.training.encoder import encoder_psnr_db
from gpu_ops.training.place import add_device, at_once

SHORT_OF_DB = 0.5
ON_CPU = 10


def psnr_by_steps(
    bundle: Bundle, pictures: Picture, start: Start, numbers: list[int], chunk: int
) -> dict[int, float]:
    """Mean PSNR of pictures uint8 [n, R, R, 3] after each number of steps, a run of its own for each."""
    found = {}
    for steps in numbers:
        scores: list[float] = []
        for first in range(0, len(pictures), chunk):
            run = invert(bundle, pictures[first : first + chunk], steps=steps, start=start)
            scores += report(run, f"{steps} steps from {start}").psnr_db
        found[steps] = float(np.mean(scores))
    return found


def steps_to(wanted_db: float, curve: dict[int, float]) -> float | None:
    """Steps at which a curve passes so many dB, by the logarithm of steps between points; None if never."""
    if min(curve.values()) >= wanted_db:
        return float(min(curve))
    for (few, low), (many, high) in pairwise(sorted(curve.items())):
        if low < wanted_db <= high:
            return float(few * (many / few) ** ((wanted_db - low) / (high - low)))
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="the model's folder")
    parser.add_argument("--first-seed", type=int, default=10_006_000)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--steps", default="30,60,125,250,500")
    parser.add_argument("--chunk", type=int, help="pictures at a time")
    add_device(parser)
    options = parser.parse_args()
    bundle = load_bundle(options.model, options.device)
    chunk = options.chunk or at_once(bundle.device, ON_CPU)
    assert bundle.encoder is not None, "the model has no encoder"
    seeds = range(options.first_seed, options.first_seed + options.count)
    domain = bundle.description["name"]
    pictures, _ = render_many(seeds, bundle.resolution_px, processes=1, domain=domain)
    numbers = [int(steps) for steps in options.steps.split(",")]
    starts: tuple[Start, ...] = ("w_avg", "encoder")
    curves = {start: psnr_by_steps(bundle, pictures, start, numbers, chunk) for start in starts}
    p_db = curves["w_avg"][max(numbers)]
    told = {
        "count": len(pictures),
        "p_db": p_db,
        "encoder_alone_db": encoder_psnr_db(bundle.encoder, bundle, pictures),
        "curves_db": curves,
        "steps_to_p_less_half_db": {
            start: steps_to(p_db - SHORT_OF_DB, curve) for start, curve in curves.items()
        },
    }
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
