"""Making the bundled model `cars` from nothing.

    python -m gpu_ops.training.cars OUT [--until STAGE] [--kimg 400] [--ranks N]

Stages, each skipped where its output exists in OUT: data, judge, perceptual, generator, annotated,
segmenter, bundle. Several hours on two cores, nearly all of them the generator's; it may be ended and
started again at any time. The figures of a model are `python -m gpu_ops.training.evaluate`.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np
import torch

from gpu_ops.bundle import DESCRIPTION, Bundle, draw_only
from gpu_ops.network_file import save_network
from gpu_ops.perceptual import load_bundled
from gpu_ops.scenes.cars import COLOURS, GROUPS, PARTS
from gpu_ops.scenes.dataset import HELD_OUT_SEEDS_FROM, TRAINING_SEEDS_FROM
from gpu_ops.stylegan2.files import load_generator
from gpu_ops.training.annotate import annotate, choose, load_codes, save_codes
from gpu_ops.training.console import follow
from gpu_ops.training.segmenter import segmenter_for, train_segmenter

STAGES = ("data", "judge", "perceptual", "generator", "annotated", "segmenter", "bundle")
TRAINING_PICTURES = 50_000
HELD_OUT_PICTURES = 1_000
ANNOTATED = 16
ANNOTATED_STEPS = 1_000
BATCH = 16  # twice the steps per picture of the usual 32; docs/measurements.md says what was trained how
EDIT_FACTOR, INVERT_FACTOR = 0.3, 0.0005  # fitted by gpu_ops.training.edits; see docs/measurements.md
RANKS = (4, 2, 1)  # each divides the batch, so that all ranks have equal shares
FILES = {role: f"{role}.safetensors" for role in ("generator", "segmenter", "perceptual", "judge")}


def command(module: str, *arguments: object) -> None:
    """Run one of the training commands, in a process of its own, which is told of this one's signals.

    Raises SystemExit where it did not come to its end.
    """
    process = subprocess.Popen([sys.executable, "-m", module, *map(str, arguments)])

    def tell(signum: int, _frame: FrameType | None) -> None:
        process.send_signal(signum)

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if status != 0:
        raise SystemExit(f"{module} ended with status {status}; start again to go on")


def make_data(out: Path) -> None:
    for name, first, count in (
        ("data", TRAINING_SEEDS_FROM, TRAINING_PICTURES),
        ("held-out", HELD_OUT_SEEDS_FROM, HELD_OUT_PICTURES),
    ):
        if not (out / name / "scenes.jsonl").exists():
            where = ("--first-seed", first, "--count", count, "--out", out / name)
            command("gpu_ops.scenes.dataset", "--domain", "cars", *where)


def make_judge(out: Path) -> None:
    data = ("--data", out / "data", "--held-out", out / "held-out")
    command("gpu_ops.training.judge", *data, "--out", out / FILES["judge"])


def make_perceptual(out: Path) -> None:
    factors = ("--edit-factor", EDIT_FACTOR, "--invert-factor", INVERT_FACTOR)
    where = ("--data", out / "data", "--out", out / FILES["perceptual"])
    command("gpu_ops.training.perceptual", *where, *factors)


def default_ranks() -> int:
    """One process per core, at most four; one alone where there is a GPU."""
    cores = 1 if torch.cuda.is_available() else os.cpu_count() or 1
    return next(ranks for ranks in RANKS if ranks <= cores)


def make_generator(out: Path, kimg: float, ranks: int) -> None:
    where = ("--data", out / "data", "--out", out / "run")
    how = ("--device", "cuda" if torch.cuda.is_available() and ranks == 1 else "cpu", "--ranks", ranks)
    command("gpu_ops.training.generator", *where, *how, "--batch", BATCH, "--kimg", kimg, "--resume")
    shutil.copy(out / "run" / FILES["generator"], out / FILES["generator"])


def make_annotated(out: Path) -> None:
    scenes = [json.loads(line) for line in (out / "data" / "scenes.jsonl").open()]
    chosen = choose([scene["body_type"] for scene in scenes[:200]], ANNOTATED)
    pictures, masks = (np.load(out / "data" / f"{name}.npy", mmap_mode="r") for name in ("pictures", "masks"))
    annotated = annotate(untrained_bundle(out), pictures[chosen], masks[chosen], steps=ANNOTATED_STEPS)
    print(f"annotated pictures inverted at {np.mean(annotated.psnr_db):.2f} dB", flush=True)
    save_codes(out / "annotated.safetensors", annotated)


def make_segmenter(out: Path, seed: int = 0) -> None:
    torch.manual_seed(seed)
    generator = load_generator(out / FILES["generator"])
    segmenter = segmenter_for(generator, len(PARTS))
    w_plus, masks = load_codes(out / "annotated.safetensors")
    follow(train_segmenter(segmenter, generator, w_plus, masks, seed=seed), "segmenter")
    save_network(out / FILES["segmenter"], segmenter, segmenter.config.as_dict(), half=True)


def make_bundle(out: Path) -> None:
    """Put model.json beside copies of the weights, as a bundled model has them."""
    folder = out / "bundle"
    folder.mkdir(exist_ok=True)
    for name in FILES.values():
        shutil.copy(out / name, folder / name)
    description = {
        "name": "cars",
        "resolution_px": load_generator(out / FILES["generator"]).config.resolution,
        "parts": [
            {"id": index, "name": name, "colour": list(colour)}
            for index, (name, colour) in enumerate(zip(PARTS, COLOURS, strict=True))
        ],
        "groups": {name: list(parts) for name, parts in GROUPS.items()},
        "files": FILES,
        "description": "Rendered cars, side view, facing left",
        "license": "the project's own",
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")


def untrained_bundle(out: Path) -> Bundle:
    """The trained generator and backbone with a segmenter that knows nothing: enough for inversion."""
    generator = load_generator(out / FILES["generator"])
    perceptual = load_bundled(out / FILES["perceptual"])
    segmenter = segmenter_for(generator, len(PARTS)).requires_grad_(False).eval()
    return draw_only(generator, segmenter, perceptual, list(PARTS))


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the bundled model `cars` from nothing.")
    parser.add_argument("out", type=Path, help="folder for everything that is made")
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1], help="stop after this stage")
    parser.add_argument("--kimg", type=float, default=400, help="thousands of pictures the generator sees")
    parser.add_argument(
        "--ranks", type=int, default=default_ranks(), help="processes that train the generator (%(default)s)"
    )
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    made: dict[str, tuple[Path, Callable[[], None]]] = {
        "data": (out / "held-out" / "scenes.jsonl", lambda: make_data(out)),
        "judge": (out / FILES["judge"], lambda: make_judge(out)),
        "perceptual": (out / FILES["perceptual"], lambda: make_perceptual(out)),
        "generator": (out / FILES["generator"], lambda: make_generator(out, options.kimg, options.ranks)),
        "annotated": (out / "annotated.safetensors", lambda: make_annotated(out)),
        "segmenter": (out / FILES["segmenter"], lambda: make_segmenter(out)),
        "bundle": (out / "bundle" / DESCRIPTION, lambda: make_bundle(out)),
    }
    for stage in STAGES[: STAGES.index(options.until) + 1]:
        output, make = made[stage]
        if output.exists():
            print(f"{stage}: {output} is there already", flush=True)
        else:
            print(f"{stage}: making {output}", flush=True)
            make()


if __name__ == "__main__":
    main()
