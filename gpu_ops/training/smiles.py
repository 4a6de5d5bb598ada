"""The smile table: neutral held-out faces made to smile, by the vector alone and with refinement.

    python -m gpu_ops.training.smiles BUNDLE --held-out DIR --out DIR [--vector FILE]

The shape of Ling et al. 2021, table 1. All faces are of people whom nothing was trained on, each another one:
seeds from 10,100,000 for the table, from 10,200,000 for choosing the strength beforehand, from 10,300,000
for smiling faces. It may be ended at any time: codes and rows that were found are kept in OUT.
FID and KID are those of the edited pictures against the renders of DIR, on the features that it names.
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gpu_ops.bundle import Bundle, load_bundle, read_description
from gpu_ops.evaluate import own_features
from gpu_ops.fidelity import Rows, frechet_distance, kernel_distance
from gpu_ops.picture import Picture, to_tensor
from gpu_ops.scenes.dataset import HELD_OUT_SEEDS_FROM
from gpu_ops.scenes.faces import render, sample_scene
from gpu_ops.smile import SmileReader, load_smile
from gpu_ops.training.applied import Subjects, Vector, edited, load_vector_of
from gpu_ops.training.identity import embedded
from gpu_ops.training.inverted import codes_of
from gpu_ops.training.place import add_device

STRENGTHS = (0.7, 0.9, 1.1, 1.3, 1.5, 1.7)
REFINE_STEPS = 30
ENOUGH = 0.97  # of the choosing faces smile: the lowest strength that reaches this is chosen
TABLE_SEEDS, CHOOSING_SEEDS, SMILING_SEEDS = (HELD_OUT_SEEDS_FROM + 100_000 * step for step in (1, 2, 3))


@dataclass(frozen=True)
class Judges:
    """Who scores a row; reference: features [n, C] of the pictures that edited ones are compared with."""

    smile: SmileReader
    reference: Rows


def faces_of(expression: str, first_seed: int, count: int, size_px: int) -> Picture:
    """The first `count` scenes of an expression, each of another person: uint8 [count, R, R, 3]."""
    pictures: list[Picture] = []
    seed = first_seed
    while len(pictures) < count:
        scene = sample_scene(seed, identity=seed)
        seed += 1
        if scene.expression == expression:
            pictures.append(render(scene, size_px)[0])
    return np.stack(pictures)


@torch.no_grad()
def read(bundle: Bundle, pictures: Picture) -> Rows:
    """The features that FID and KID are computed on: float64 [n, C]."""
    features = own_features(bundle)
    starts = range(0, len(pictures), 100)
    rows = [features.read(to_tensor(pictures[start : start + 100], bundle.device)) for start in starts]
    found: Rows = torch.cat(rows).double().cpu().numpy()
    return found


def measured(
    bundle: Bundle, judges: Judges, faces: Subjects, vector: Vector, strength: float, refine_steps: int
) -> dict[str, Any]:
    """One row of the table."""
    assert bundle.identity is not None, "a model of faces has an identity network"
    pictures, leaks = edited(bundle, faces, vector, strength, refine_steps)
    features = read(bundle, pictures)
    kid, deviation = kernel_distance(features, judges.reference, size=len(features))
    mine, before, original = (
        embedded(bundle.identity, some, bundle.device) for some in (pictures, faces.inverted, faces.originals)
    )
    return {
        "strength": strength,
        "refine_steps": refine_steps,
        "n": len(pictures),
        "accuracy": smiling(judges.smile, pictures),
        "fid": frechet_distance(features, judges.reference),
        "kid": kid,
        "kid_std": deviation,
        "identity": float((mine * before).sum(dim=1).mean()),
        "identity_of_the_original": float((mine * original).sum(dim=1).mean()),
        "psnr_outside_db": float(np.median(leaks)),
    }


def smiling(reader: SmileReader, pictures: Picture) -> float:
    """The share that smiles."""
    words = reader.expressions(pictures)
    return words.count("smiling") / len(words)


def chosen_strength(accuracies: Sequence[tuple[float, float]]) -> float:
    """Of pairs (strength, accuracy): the lowest strength that reaches ENOUGH, else the most accurate."""
    reached = [strength for strength, accuracy in accuracies if accuracy >= ENOUGH]
    return min(reached) if reached else max(accuracies, key=lambda pair: (pair[1], -pair[0]))[0]


def table(rows: Sequence[dict[str, Any]], chosen: float) -> str:
    """The rows as a table in Markdown."""
    lines = [
        "| smile edit | strength | accuracy % | FID | KID x 1000 | ID | outside dB | N |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        way = f"vector + {row['refine_steps']} steps" if row["refine_steps"] else "vector"
        mark = " (chosen)" if row["strength"] == chosen else ""
        lines.append(
            f"| {way} | {row['strength']:g}{mark} | {100 * row['accuracy']:.1f} | {row['fid']:.2f} "
            f"| {1000 * row['kid']:.2f} | {row['identity']:.4f} | {row['psnr_outside_db']:.1f} | {row['n']} |"
        )
    return "\n".join(lines)


class Kept:
    """The figures found so far, in a file. Raises SystemExit where they are of another model or vector."""

    def __init__(self, path: Path, made_from: Sequence[Path]) -> None:
        self.path = path
        digests = [hashlib.sha256(each.read_bytes()).hexdigest() for each in made_from]
        self.figures: dict[str, Any] = {"made_from": digests, "rows": []}
        if path.exists():
            self.figures = json.loads(path.read_text())
            if self.figures["made_from"] != digests:
                raise SystemExit(f"{path} is of another model or vector: choose another folder")

    def put(self, **figures: Any) -> None:
        self.figures |= figures
        self.path.write_text(json.dumps(self.figures, indent=2) + "\n")

    def row(self, strength: float, refine_steps: int) -> dict[str, Any] | None:
        found = [
            row
            for row in self.figures["rows"]
            if (row["strength"], row["refine_steps"]) == (strength, refine_steps)
        ]
        return found[0] if found else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path, help="the model's folder")
    parser.add_argument(
        "--held-out", type=Path, required=True, help="folder with pictures.npy, for FID and KID"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for codes and figures")
    parser.add_argument("--vector", type=Path, help="by default vectors/smile.safetensors of the model")
    parser.add_argument("--count", type=int, default=400, help="faces of the table")
    parser.add_argument("--choosing", type=int, default=100, help="other faces, to choose the strength on")
    parser.add_argument("--smiling", type=int, default=100, help="smiling faces that the reader is tried on")
    parser.add_argument("--strengths", default=",".join(map(str, STRENGTHS)), help="comma separated")
    parser.add_argument("--inversion-steps", type=int, default=500)
    parser.add_argument("--refine-steps", type=int, default=REFINE_STEPS)
    add_device(parser)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    bundle = load_bundle(options.bundle, options.device)
    files = read_description(options.bundle)["files"]
    path = options.vector or options.bundle / "vectors" / "smile.safetensors"
    kept = Kept(options.out / "smiles.json", [path, options.bundle / files["generator"]])
    held_out = np.load(options.held_out / "pictures.npy")
    reader = load_smile(options.bundle / files["smile"]).to(bundle.device)
    judges = Judges(reader, read(bundle, held_out))
    make_table(bundle, load_vector_of(bundle, path), judges, kept, options)


def make_table(
    bundle: Bundle, vector: Vector, judges: Judges, kept: Kept, options: argparse.Namespace
) -> None:
    """Find what is missing of the table, and print it."""
    strengths = [float(each) for each in options.strengths.split(",")]

    def some(name: str, expression: str, first_seed: int, count: int) -> Subjects:
        originals = faces_of(expression, first_seed, count, bundle.resolution_px)
        path = options.out / f"{name}.safetensors"
        return Subjects.of(bundle, originals, codes_of(bundle, originals, path, options.inversion_steps))

    others = some("choosing", "neutral", CHOOSING_SEEDS, options.choosing)
    accuracies = [
        (strength, smiling(judges.smile, edited(bundle, others, vector, strength, 0)[0]))
        for strength in strengths
    ]
    chosen = chosen_strength(accuracies)
    kept.put(choosing={"n": options.choosing, "accuracies": accuracies}, chosen_strength=chosen)
    happy = some("smiling", "smiling", SMILING_SEEDS, options.smiling)
    faces = some("neutral", "neutral", TABLE_SEEDS, options.count)
    kept.put(
        features=own_features(bundle).name,
        reference=len(judges.reference),
        says_smile_of_inverted_smiling=smiling(judges.smile, happy.inverted),
        says_smile_of_inverted_neutral=smiling(judges.smile, faces.inverted),
    )
    for strength in strengths:
        for steps in (0, options.refine_steps):
            if kept.row(strength, steps) is None:
                row = measured(bundle, judges, faces, vector, strength, steps)
                kept.put(rows=[*kept.figures["rows"], row])
                print(json.dumps(row), flush=True)
    rows = sorted(kept.figures["rows"], key=lambda row: (row["refine_steps"], row["strength"]))
    text = table(rows, chosen)
    (options.out / "smiles.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
