"""Portraits outside the domain, edited with vectors that were learned on ordinary faces.

    python -m gpu_ops.training.portraits BUNDLE --out DIR [--vector NAME ...] [--count 50]

Portraits of neutral held-out people in each style of gpu_ops/scenes/portraits.py (seeds from 10,400,000),
never trained on, are inverted in 100 steps, the prior keeping their codes among ordinary ones; each vector
is applied at strength 1.5 and refined in 30. Strength and prior were chosen on others (from 10,600,000). The
judge sees an edit where its mask of the edited picture, against its mask of the inversion, changes by SEEN
of what it sees in the vector's own example, in the vector's own measure. Also drawn: two vectors at once.
It may be ended at any time: the codes that were found are kept in OUT.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpu_ops.bundle import Bundle, load_bundle
from gpu_ops.change import Measure
from gpu_ops.metrics import psnr_db
from gpu_ops.picture import Picture
from gpu_ops.scenes.dataset import HELD_OUT_SEEDS_FROM
from gpu_ops.scenes.faces import sample_scene
from gpu_ops.scenes.faces_scene import Scene
from gpu_ops.scenes.portraits import STYLES, render
from gpu_ops.training.applied import Subjects, Vector, edited, load_vector_of
from gpu_ops.training.evaluate import save_tiles
from gpu_ops.training.inverted import codes_of
from gpu_ops.training.place import add_device
from gpu_ops.training.starters import file_stem, load_vector

PORTRAIT_SEEDS = HELD_OUT_SEEDS_FROM + 400_000
COUNT, INVERSION_STEPS, REFINE_STEPS = 50, 100, 30
LAMBDA_PRIOR, STRENGTH = 0.003, 1.5  # chosen on 24 others: docs/measurements.md
SEEN = 0.5
VECTORS = ("smile", "close eyes", "lift brows")
SHOWN = 6


@dataclass(frozen=True)
class Portraits:
    """pictures uint8 [N, R, R, 3], and the style of each."""

    pictures: Picture
    styles: list[str]


def fits(scene: Scene) -> bool:
    """Whether there is something to edit: a face at rest, mouth shut, eyes open."""
    return scene.expression == "neutral" and scene.mouth_open < 0 and scene.eye_open > 0.7


def draw_portraits(count: int, size_px: int, seed: int = PORTRAIT_SEEDS) -> Portraits:
    """The first `count` people from a seed on that fit, in the styles by turns."""
    pictures: list[Picture] = []
    styles: list[str] = []
    while len(pictures) < count:
        scene = sample_scene(seed, identity=seed)
        seed += 1
        if fits(scene):
            styles.append(list(STYLES)[len(styles) % len(STYLES)])
            pictures.append(render(scene, styles[-1], size_px)[0])
    return Portraits(np.stack(pictures), styles)


@dataclass(frozen=True)
class Sought:
    """What the judge is to see: a measure, and how much of it the vector's own example shows it."""

    measure: Measure
    example: float

    @classmethod
    def of(cls, about: dict[str, Any]) -> "Sought":
        """From what a vector's .json says. Raises ValueError where the judge saw nothing of its example."""
        measured, told = about["facts"]["measure"], about["report"]["measure"]
        if measured is None or not told["example"].get("judge"):
            raise ValueError(f"the judge saw nothing of the example of {about['name']}")
        return cls(Measure(**measured | {"parts": tuple(measured["parts"])}), told["example"]["judge"])

    def shares(self, bundle: Bundle, before: Picture, after: Picture) -> list[float]:
        """How much of the example's change the judge sees between pictures uint8 [N, R, R, 3]: [N]."""
        assert bundle.judge is not None, "a model of faces has a judge"
        masks = (bundle.judge.predict(before), bundle.judge.predict(after))
        return [self.measure.of(old, new) / self.example for old, new in zip(*masks, strict=True)]


def figures_of(shares: Sequence[float], styles: Sequence[str], leaks: Sequence[float]) -> dict[str, Any]:
    """On how many the judge sees the edit, of all and by style; what it cannot measure it did not see."""
    known = np.nan_to_num(np.array(shares), nan=0.0)
    seen = known >= SEEN
    return {
        "n": len(known),
        "judge_sees": float(seen.mean()),
        "by_style": {
            style: float(seen[[each == style for each in styles]].mean()) for style in sorted(set(styles))
        },
        "share_p25_p50_p75": np.percentile(known, [25, 50, 75]).round(3).tolist(),
        "psnr_outside_db": float(np.median(leaks)),
    }


def inverted_db(portraits: Portraits, inverted: Picture) -> dict[str, float]:
    """PSNR of the inversions uint8 [N, R, R, 3], the mean of each style."""
    scores = [psnr_db(mine, theirs) for mine, theirs in zip(inverted, portraits.pictures, strict=True)]
    return {
        style: float(
            np.mean([score for score, own in zip(scores, portraits.styles, strict=True) if own == style])
        )
        for style in sorted(set(portraits.styles))
    }


def both(one: Vector, other: Vector) -> Vector:
    """Two vectors at once."""
    return Vector(one.delta_w + other.delta_w, tuple(sorted({*one.q_edit, *other.q_edit})))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path, help="the model's folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for codes, figures and pictures")
    parser.add_argument("--vectors", type=Path, help="folder of vectors; by default vectors/ of the model")
    parser.add_argument("--vector", action="append", default=[], help="a vector's name; may be repeated")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--first-seed", type=int, default=PORTRAIT_SEEDS)
    parser.add_argument("--inversion-steps", type=int, default=INVERSION_STEPS)
    parser.add_argument("--lambda-prior", type=float, default=LAMBDA_PRIOR, help="of the inversions")
    parser.add_argument("--strength", type=float, default=STRENGTH)
    parser.add_argument("--refine-steps", type=int, default=REFINE_STEPS)
    add_device(parser)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    bundle = load_bundle(options.bundle, options.device)
    names = options.vector or VECTORS
    folder = options.vectors or options.bundle / "vectors"
    measure_portraits(bundle, [folder / f"{file_stem(name)}.safetensors" for name in names], options)


def measure_portraits(bundle: Bundle, paths: Sequence[Path], options: argparse.Namespace) -> dict[str, Any]:
    """Edit the portraits with each vector, and with the first two at once; write figures and pictures."""
    portraits = draw_portraits(options.count, bundle.resolution_px, options.first_seed)
    steps, prior = options.inversion_steps, options.lambda_prior
    kept = options.out / f"{options.first_seed}-{steps}-{prior:g}.safetensors"
    w_plus = codes_of(bundle, portraits.pictures, kept, steps, lambda_prior=prior)
    subjects = Subjects.of(bundle, portraits.pictures, w_plus)
    columns = [subjects.originals, subjects.inverted]
    figures: dict[str, Any] = {
        "seen_from": SEEN,
        "strength": options.strength,
        "lambda_prior": prior,
        "inverted_psnr_db": inverted_db(portraits, subjects.inverted),
        "vectors": {},
    }
    vectors = [load_vector_of(bundle, path) for path in paths]
    for path, vector in zip(paths, vectors, strict=True):
        pictures, leaks = edited(bundle, subjects, vector, options.strength, options.refine_steps)
        sought = Sought.of(load_vector(path)[1])
        shares = sought.shares(bundle, subjects.inverted, pictures)
        figures["vectors"][path.stem] = figures_of(shares, portraits.styles, leaks)
        columns.append(pictures)
    if len(vectors) > 1:
        two = both(*vectors[:2])
        columns.append(edited(bundle, subjects, two, options.strength, options.refine_steps)[0])
    sheet = np.stack([column[:SHOWN] for column in columns], axis=1).reshape(-1, *columns[0].shape[1:])
    save_tiles(options.out / "portraits.png", sheet, len(columns), scale=3)
    (options.out / "portraits.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2), flush=True)
    return figures


if __name__ == "__main__":
    main()
