"""Learning the starter vectors of a bundled model, by the method itself.

    python -m gpu_ops.training.starters BUNDLE [--out BUNDLE/vectors] [--only "larger wheels"] [--sources 4]

For each: renders are inverted, the masks wanted are asked of the inversions (gpu_ops/edit.py), the vectors
found are averaged, and a transfer report is measured on fresh samples. Left are NAME.safetensors (delta_w),
NAME.json (name, editing_type, tags, q_edit, facts, report) and NAME.before.png, NAME.after.png.
"""

import argparse
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from gpu_ops.bundle import Bundle, load_bundle
from gpu_ops.change import Measure, editing_type, measure_of
from gpu_ops.edit import edit
from gpu_ops.invert import invert
from gpu_ops.learn import Example, seen_change, show, what_changed
from gpu_ops.training.console import report as finish
from gpu_ops.training.place import add_device
from gpu_ops.training.starter_table import STARTERS, Starter, draw_source, part_ids
from gpu_ops.transfer import STRENGTHS, Trial, refined_gain, transfer
from gpu_ops.transfer_report import report

TENSOR = "delta_w"
TAG = "starter"
TRANSFER_SEED = 1_000_000
PRESET = "editq"


@dataclass(frozen=True)
class How:
    """How starters are learned; samples are those of the transfer report; the digest pins the weights."""

    sources: int | None = None
    inversion_steps: int = 500
    steps: int = 100
    samples: int = 32
    generator_sha256: str = ""


@dataclass(frozen=True)
class Learned:
    """A vector delta_w [L, D] and its example; about: what NAME.json holds."""

    delta_w: torch.Tensor
    example: Example
    about: dict[str, Any]


def learn_starter(bundle: Bundle, starter: Starter, how: How) -> Learned:
    """Learn one vector. Raises MaskUnchangedError where a source shows already what is asked for."""
    source = draw_source(starter, bundle.resolution_px, how.sources)
    q_edit = part_ids(starter)
    inverted = finish(
        invert(bundle, source.pictures, steps=how.inversion_steps), f"{starter.name}: inverting"
    )
    wanted = source.wanted(inverted.masks)
    edited = finish(
        edit(bundle, inverted.w_plus, wanted, q_edit, steps=how.steps, preset=PRESET), starter.name
    )
    delta_w = edited.delta_w.mean(dim=0)  # [L, D]
    example = show(bundle, inverted.w_plus[:1], delta_w)
    measure, reported = _reported(bundle, delta_w, q_edit, example, how.samples)
    facts = {
        "generator_sha256": how.generator_sha256,
        "preset": PRESET,
        "steps": how.steps,
        "inversion_steps": how.inversion_steps,
        "sources": [{"seed": seed} for seed in starter.seeds[: len(source.pictures)]],
        "scene_before": dict(starter.before),
        "scene_after": dict(starter.after),
        "cut_from": starter.cut_from,
        "beyond_the_renderer": starter.beyond,
        "inversion_psnr_db": inverted.psnr_db,
        "metrics": edited.metrics,
        "measure": None if measure is None else asdict(measure),
    }
    about = {
        "name": starter.name,
        "model": starter.domain,
        "tags": [TAG, *starter.tags],
        "q_edit": [bundle.parts[part] for part in q_edit],
        "facts": facts,
        **reported,
    }
    return Learned(delta_w, example, about)


def _reported(
    bundle: Bundle, delta_w: torch.Tensor, q_edit: tuple[int, ...], example: Example, samples: int
) -> tuple[Measure | None, dict[str, Any]]:
    """What is measured; and the editing type, and the transfer report on fresh samples."""
    found = what_changed(example, bundle.parts, bundle.description.get("groups", {}), q_edit)
    measure = measure_of(found)
    seen = seen_change(bundle, example, measure)
    seeds = range(TRANSFER_SEED, TRANSFER_SEED + samples)
    trial = Trial(delta_w, q_edit, measure)
    rows = finish(transfer(bundle, trial, seeds), "transfer")
    gain_db = finish(refined_gain(bundle, trial, seeds), "refinement")
    told = report(rows, STRENGTHS, measure, seen, seed=TRANSFER_SEED, gain_db=gain_db)
    return measure, {"editing_type": editing_type(found), "report": told}


def save_learned(folder: Path, learned: Learned) -> None:
    """Write a vector's four files; the .json last, so that it tells of files that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = file_stem(learned.about["name"])
    save_file({TENSOR: learned.delta_w.float().contiguous().cpu()}, folder / f"{stem}.safetensors")
    for moment, view in (("before", learned.example.before), ("after", learned.example.after)):
        Image.fromarray(view.pictures[0]).save(folder / f"{stem}.{moment}.png")
    text = json.dumps(finite(learned.about), indent=2, allow_nan=False)
    (folder / f"{stem}.json").write_text(text + "\n")


def load_vector(path: Path) -> tuple[torch.Tensor, dict[str, Any]]:
    """delta_w [L, D] of NAME.safetensors, and what NAME.json beside it says."""
    about: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
    return load_file(path)[TENSOR], about


def file_stem(name: str) -> str:
    return name.replace(" ", "-")


def finite(value: Any) -> Any:
    """The same with None for every number that JSON cannot hold."""
    if isinstance(value, dict):
        return {str(key): finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [finite(member) for member in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path, help="the model's folder")
    parser.add_argument("--out", type=Path, help="by default vectors/ in the model's folder")
    parser.add_argument("--only", action="append", default=[], help="a vector's name; may be repeated")
    parser.add_argument("--sources", type=int, help="renders to learn each on; by default all of the table")
    parser.add_argument("--again", action="store_true", help="learn those too that are there already")
    add_device(parser)
    options = parser.parse_args()
    bundle = load_bundle(options.bundle, options.device)
    out: Path = options.out or options.bundle / "vectors"
    starters = STARTERS[bundle.description["name"]]
    unknown = set(options.only) - {starter.name for starter in starters}
    if unknown:
        parser.error(f"no starter is called {', '.join(sorted(unknown))}")
    generator = options.bundle / bundle.description["files"]["generator"]
    how = How(options.sources, generator_sha256=hashlib.sha256(generator.read_bytes()).hexdigest())
    for starter in starters:
        left = out / f"{file_stem(starter.name)}.json"
        if (options.only and starter.name not in options.only) or (left.exists() and not options.again):
            continue
        learned = learn_starter(bundle, starter, how)
        save_learned(out, learned)
        told = learned.about["report"]
        print(json.dumps({"name": starter.name, "recommended": told["recommended"]}), flush=True)


if __name__ == "__main__":
    main()
