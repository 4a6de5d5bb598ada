"""Measure a model's folder from the command line.

    python -m gpu_ops.evaluation BUNDLE --pictures FOLDER [--samples 1000] [--inception FILE]
    python -m gpu_ops.evaluation BUNDLE --vector delta_w.safetensors --attribute expression=smiling

Prints the figures as JSON.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.torch import load_file

from gpu_ops.attributes import classifier
from gpu_ops.bundle import Bundle, load_bundle
from gpu_ops.evaluate import Plan, evaluate
from gpu_ops.inception import load_inception
from gpu_ops.picture import Picture, to_square
from gpu_ops.training.console import report
from gpu_ops.training.place import add_device
from gpu_ops.vectors import Use

ENDINGS = {".png", ".jpg", ".jpeg", ".webp"}


def read_folder(folder: Path, size_px: int) -> Picture:
    """The pictures of a folder, or of its pictures.npy, as the model sees them: uint8 [n, R, R, 3]."""
    if (folder / "pictures.npy").is_file():
        held = np.load(folder / "pictures.npy", mmap_mode="r", allow_pickle=False)
        return np.stack([to_square(np.asarray(picture), size_px) for picture in held])
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    if not paths:
        raise SystemExit(f"{folder} holds no pictures")
    return np.stack([to_square(np.asarray(Image.open(path).convert("RGB")), size_px) for path in paths])


def plan_of(options: argparse.Namespace, bundle: Bundle) -> Plan:
    use = attribute = None
    if options.vector is not None:
        delta_w = load_file(options.vector)["delta_w"]
        use = Use(delta_w[0] if delta_w.dim() == 3 else delta_w, options.strength, options.vector.name)
    if options.attribute is not None:
        name, _, word = options.attribute.partition("=")
        attribute = (word, *classifier(options.bundle, name, bundle.device))
    return Plan(
        seeds=[options.seed + index for index in range(options.samples)],
        truncation_psi=options.truncation_psi,
        pictures=read_folder(options.pictures, bundle.resolution_px) if options.pictures else None,
        features=load_inception(options.inception, bundle.device) if options.inception else None,
        use=use,
        attribute=attribute,
        seed=options.seed,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gpu_ops.evaluation", description=__doc__.split("\n")[0])
    parser.add_argument("bundle", type=Path, help="the model's folder")
    parser.add_argument("--pictures", type=Path, help="a folder to compare with, for FID and KID")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--truncation-psi", type=float, default=1.0)
    parser.add_argument("--inception", type=Path, help="weights of Inception v3 (.safetensors or .pth)")
    parser.add_argument("--vector", type=Path, help="safetensors with delta_w, as a learned vector has it")
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--attribute", help="as expression=smiling: what the model's classifier should say")
    add_device(parser)
    options = parser.parse_args()
    bundle = load_bundle(options.bundle, options.device)
    found = report(evaluate(bundle, plan_of(options, bundle)), "evaluating")
    print(json.dumps(found.figures, indent=2))


if __name__ == "__main__":
    main()
