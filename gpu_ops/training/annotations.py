"""What a handful of annotations is worth: segmenters of 16 annotated renders and of 200, the same otherwise.

    python -m gpu_ops.training.annotations BUNDLE --data OUT/data --held-out OUT/held-out --out DIR

The few are those that the bundled model was annotated with, and are among the many. Both segmenters have the
same head, steps, and seeds, and are measured by mean IoU twice: on inverted held-out renders against their
exact masks, and on the generator's own samples against the judge's. Codes that were found are kept in DIR.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gpu_ops.bundle import Bundle, load_bundle
from gpu_ops.metrics import part_ious
from gpu_ops.picture import Picture, to_uint8
from gpu_ops.sample import seeded_code
from gpu_ops.segmenter import Segmenter
from gpu_ops.training.console import follow
from gpu_ops.training.domains import DOMAINS, Domain
from gpu_ops.training.inverted import codes_of
from gpu_ops.training.place import add_device
from gpu_ops.training.segmenter import segmenter_for, train_segmenter

MANY = 200
PSI = 0.7


def annotated(domain: Domain, scenes: list[dict[str, Any]], many: int) -> tuple[list[int], list[int]]:
    """Scenes to annotate, by their index: the few of the domain, and as many, which begin with these."""
    few = domain.annotated(scenes)
    others = [index for index in range(len(scenes)) if index not in few]
    return few, few + others[: many - len(few)]


@torch.no_grad()
def masks_of(bundle: Bundle, segmenter: Segmenter, codes: torch.Tensor) -> Picture:
    """The parts that a segmenter sees in codes [N, L, D]: uint8 [N, R, R]."""
    each = [segmenter.predict(bundle.generator.synthesise(code[None]).features) for code in codes]
    found: Picture = torch.cat(each).to(torch.uint8).cpu().numpy()
    return found


@torch.no_grad()
def judged_samples(bundle: Bundle, count: int) -> tuple[torch.Tensor, Picture]:
    """Codes [n, L, D] of seeded samples, and the parts that the judge sees in them: uint8 [n, R, R]."""
    assert bundle.judge is not None, "a bundled model of rendered scenes has a judge"
    codes = torch.cat([seeded_code(bundle, seed, PSI) for seed in range(count)])
    pictures = np.concatenate([to_uint8(bundle.generator.synthesise(code[None]).picture) for code in codes])
    return codes, bundle.judge.predict(pictures)


def trained(bundle: Bundle, codes: torch.Tensor, masks: Picture, steps: int, seed: int) -> Segmenter:
    """A segmenter of nothing but these annotations."""
    segmenter = segmenter_for(bundle.generator, len(bundle.parts), seed=seed)
    run = train_segmenter(segmenter, bundle.generator, codes, masks, steps=steps, seed=seed)
    follow(run, f"{len(codes)} annotations, seed {seed}")
    return segmenter


def compare(
    bundle: Bundle,
    annotations: dict[int, tuple[torch.Tensor, Picture]],
    asked: dict[str, tuple[torch.Tensor, Picture]],
    steps: int,
    seeds: range,
) -> dict[str, Any]:
    """mIoU by number of annotations on each set asked: both are codes [N, L, D] and masks [N, R, R]."""
    found: dict[str, Any] = {}
    for count, (codes, masks) in annotations.items():
        scores: dict[str, list[float]] = {name: [] for name in asked}
        for seed in seeds:
            segmenter = trained(bundle, codes, masks, steps, seed)
            for name, (shown, wanted) in asked.items():
                ious = part_ious(masks_of(bundle, segmenter, shown), wanted, len(bundle.parts))
                scores[name].append(round(float(np.nanmean(ious)), 4))
        found[str(count)] = scores
        print(json.dumps({count: scores}), flush=True)
    few, many = (found[str(count)] for count in sorted(annotations))
    shares = {name: round(float(np.mean(few[name]) / np.mean(many[name])), 4) for name in asked}
    return {"miou": found, "share": shares}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path, help="the model's folder")
    parser.add_argument("--data", type=Path, required=True, help="training renders")
    parser.add_argument("--held-out", type=Path, required=True, help="renders never trained on")
    parser.add_argument("--out", type=Path, required=True, help="folder for codes and figures")
    parser.add_argument("--many", type=int, default=MANY)
    parser.add_argument("--held-out-count", type=int, default=200)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--inversion-steps", type=int, default=500)
    parser.add_argument("--steps", type=int, default=6000, help="of each segmenter")
    parser.add_argument("--seeds", type=int, default=3)
    add_device(parser)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    bundle = load_bundle(options.bundle, options.device)
    scenes = [json.loads(line) for line in (options.data / "scenes.jsonl").open()]
    few, chosen = annotated(DOMAINS[bundle.description["name"]], scenes, options.many)

    def read(folder: Path, which: list[int], name: str) -> tuple[torch.Tensor, Picture]:
        pictures, masks = (
            np.load(folder / f"{what}.npy", mmap_mode="r")[which] for what in ("pictures", "masks")
        )
        return codes_of(bundle, pictures, options.out / f"{name}.safetensors", options.inversion_steps), masks

    codes, masks = read(options.data, chosen, "annotated")
    asked = {
        "renders": read(options.held_out, list(range(options.held_out_count)), "held-out"),
        "samples": judged_samples(bundle, options.samples),
    }
    annotations = {len(few): (codes[: len(few)], masks[: len(few)]), len(chosen): (codes, masks)}
    found = compare(bundle, annotations, asked, options.steps, range(options.seeds))
    (options.out / "annotations.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found["share"]))


if __name__ == "__main__":
    main()
