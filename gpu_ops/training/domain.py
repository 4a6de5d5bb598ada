"""Making a bundled model from nothing.

    python -m gpu_ops.training.domain cars|faces OUT [--until STAGE] [--kimg THOUSANDS] [--ranks N]
        [--device cuda|cpu]

Stages, each skipped where its output exists in OUT: data, judge, perceptual, (identity, smile: of faces),
generator, annotated, segmenter, bundle, encoder. Several hours on two cores, nearly all of them
the generator's; it may be ended and started again at any time. The figures of a model are
`python -m gpu_ops.training.evaluate`.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
import torch

from gpu_ops.bundle import DESCRIPTION, Bundle, draw_only
from gpu_ops.network_file import save_network
from gpu_ops.perceptual import load_bundled
from gpu_ops.scenes.dataset import HELD_OUT_SEEDS_FROM, TRAINING_SEEDS_FROM
from gpu_ops.stylegan2.files import load_generator
from gpu_ops.training.annotate import annotate, load_codes, save_codes
from gpu_ops.training.console import follow
from gpu_ops.training.domains import DOMAINS, Domain
from gpu_ops.training.place import add_device
from gpu_ops.training.segmenter import segmenter_for, train_segmenter

READERS = ("identity", "smile")
ENCODER = "encoder"
RANKS = (4, 2, 1)  # each divides the batch, so that all ranks have equal shares


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


def default_ranks() -> int:
    """One process per core, at most four; one alone where there is a GPU."""
    cores = 1 if torch.cuda.is_available() else os.cpu_count() or 1
    return next(ranks for ranks in RANKS if ranks <= cores)


@dataclass(frozen=True)
class Making:
    """The making of a domain's model in the folder `out`, a stage at a time."""

    domain: Domain
    out: Path
    kimg: float
    ranks: int
    device: str = "cpu"

    def stages(self) -> dict[str, tuple[Path, Callable[[], None]]]:
        """Each stage's output and what makes it, in order."""
        readers = {role: self._reader(role) for role in READERS if role in self.domain.roles}
        return {
            "data": (self.out / "held-out" / "scenes.jsonl", self.data),
            "judge": (self.file("judge"), self.judge),
            "perceptual": (self.file("perceptual"), self.perceptual),
            **readers,
            "generator": (self.file("generator"), self.generator),
            "annotated": (self.out / "annotated.safetensors", self.annotated),
            "segmenter": (self.file("segmenter"), self.segmenter),
            "bundle": (self.folder / DESCRIPTION, self.bundle),
            ENCODER: (self.folder / self.domain.files[ENCODER], self.encoder),
        }

    def file(self, role: str) -> Path:
        return self.out / self.domain.files[role]

    @property
    def folder(self) -> Path:
        """Where the finished model is put."""
        return self.out / "bundle"

    @property
    def _renders(self) -> tuple[object, ...]:
        return "--data", self.out / "data", "--held-out", self.out / "held-out"

    @property
    def _place(self) -> tuple[object, ...]:
        return "--device", self.device

    def data(self) -> None:
        people = () if self.domain.per_identity is None else ("--per-identity", self.domain.per_identity)
        for name, first, count in (
            ("data", TRAINING_SEEDS_FROM, self.domain.training_pictures),
            ("held-out", HELD_OUT_SEEDS_FROM, self.domain.held_out_pictures),
        ):
            if not (self.out / name / "scenes.jsonl").exists():
                where = ("--first-seed", first, "--count", count, "--out", self.out / name)
                command("gpu_ops.scenes.dataset", "--domain", self.domain.name, *where, *people)

    def judge(self) -> None:
        parts = ("--parts", len(self.domain.parts))
        command("gpu_ops.training.judge", *self._renders, "--out", self.file("judge"), *parts, *self._place)

    def perceptual(self) -> None:
        factors = ("--edit-factor", self.domain.edit_factor, "--invert-factor", self.domain.invert_factor)
        where = ("--data", self.out / "data", "--out", self.file("perceptual"))
        command("gpu_ops.training.perceptual", *where, *factors, *self._place)

    def _reader(self, role: str) -> tuple[Path, Callable[[], None]]:
        path = self.file(role)
        where = (*self._renders, "--out", path, *self._place)
        return path, lambda: command(f"gpu_ops.training.{role}", *where)

    def generator(self) -> None:
        run = self.out / "run"
        device = self.device if self.ranks == 1 else "cpu"
        how = ("--device", device, "--ranks", self.ranks, "--batch", self.domain.batch, "--kimg", self.kimg)
        command(
            "gpu_ops.training.generator",
            "--data",
            self.out / "data",
            "--out",
            run,
            *how,
            *self.domain.options,
            *(() if device == "cpu" else self.domain.gpu_options),
            "--resume",
        )
        shutil.copy(run / self.domain.files["generator"], self.file("generator"))

    def annotated(self) -> None:
        scenes = [json.loads(line) for line in (self.out / "data" / "scenes.jsonl").open()]
        chosen = self.domain.annotated(scenes)
        pictures, masks = (
            np.load(self.out / "data" / f"{name}.npy", mmap_mode="r") for name in ("pictures", "masks")
        )
        steps = self.domain.annotated_steps
        annotated = annotate(self.untrained_bundle(), pictures[chosen], masks[chosen], steps=steps)
        print(f"annotated pictures inverted at {np.mean(annotated.psnr_db):.2f} dB", flush=True)
        save_codes(self.out / "annotated.safetensors", annotated)

    def segmenter(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        generator = load_generator(self.file("generator")).to(self.device)
        segmenter = segmenter_for(generator, len(self.domain.parts))
        w_plus, masks = load_codes(self.out / "annotated.safetensors")
        run = train_segmenter(segmenter, generator, w_plus.to(self.device), masks, seed=seed)
        follow(run, "segmenter")
        save_network(self.file("segmenter"), segmenter, segmenter.config.as_dict(), half=True)

    def bundle(self) -> None:
        """Put model.json beside copies of the weights, as a bundled model has them.

        The encoder is put in once it is there: it is trained on the rest.
        """
        self.folder.mkdir(exist_ok=True)
        files = {
            role: name
            for role, name in self.domain.files.items()
            if role != ENCODER or (self.out / name).exists()
        }
        for name in files.values():
            shutil.copy(self.out / name, self.folder / name)
        scenes = self.domain.scenes
        description = {
            "name": self.domain.name,
            "resolution_px": load_generator(self.file("generator")).config.resolution,
            "parts": [
                {"id": index, "name": name, "colour": list(colour)}
                for index, (name, colour) in enumerate(zip(scenes.PARTS, scenes.COLOURS, strict=True))
            ],
            "groups": {name: list(parts) for name, parts in scenes.GROUPS.items()},
            "files": files,
            "description": self.domain.description,
            "license": "the project's own",
        }
        (self.folder / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")

    def encoder(self) -> None:
        path = self.file(ENCODER)
        command(
            "gpu_ops.training.encoder", "--model", self.folder, *self._renders, "--out", path, *self._place
        )
        self.bundle()

    def untrained_bundle(self) -> Bundle:
        """The trained generator and backbone with a segmenter that knows nothing: enough for inversion."""
        generator = load_generator(self.file("generator")).to(self.device)
        perceptual = load_bundled(self.file("perceptual")).to(self.device)
        segmenter = segmenter_for(generator, len(self.domain.parts)).requires_grad_(False).eval()
        return draw_only(generator, segmenter, perceptual, list(self.domain.parts))

    def make(self, until: str) -> None:
        """Make all that is missing, up to and with a stage."""
        stages = self.stages()
        for stage in list(stages)[: list(stages).index(until) + 1]:
            output, make = stages[stage]
            if output.exists():
                print(f"{stage}: {output} is there already", flush=True)
            else:
                print(f"{stage}: making {output}", flush=True)
                make()


def make_domain(name: str, arguments: Sequence[str] | None = None) -> None:
    """The command line of one domain."""
    domain = DOMAINS[name]
    stages = list(Making(domain, Path(), domain.kimg, 1).stages())
    parser = argparse.ArgumentParser(description=f"Make the bundled model `{name}` from nothing.")
    parser.add_argument("out", type=Path, help="folder for everything that is made")
    parser.add_argument("--until", choices=stages, default=stages[-1], help="stop after this stage")
    parser.add_argument(
        "--kimg",
        type=float,
        default=domain.kimg,
        help="thousands of pictures the generator sees (%(default)s)",
    )
    parser.add_argument(
        "--ranks", type=int, default=default_ranks(), help="processes that train the generator (%(default)s)"
    )
    add_device(parser)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    Making(domain, options.out, options.kimg, options.ranks, options.device).make(options.until)


def main() -> None:
    name, *arguments = sys.argv[1:] or [""]
    if name not in DOMAINS:
        raise SystemExit(f"usage: python -m gpu_ops.training.domain {'|'.join(sorted(DOMAINS))} OUT ...")
    make_domain(name, arguments)


if __name__ == "__main__":
    main()
