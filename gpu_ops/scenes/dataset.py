"""Many scenes at once, in all processes: pictures, exact masks, and the parameters as labels.

    python -m gpu_ops.scenes.dataset --domain cars --first-seed 0 --count 40000 --out DIR

writes pictures.npy [n, H, W, 3] uint8, masks.npy [n, H, W] uint8 and scenes.jsonl, one scene
a line, in the order of the seeds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from gpu_ops.scenes import cars, faces
from gpu_ops.scenes.seeds import DEMO_SEEDS_FROM, HELD_OUT_SEEDS_FROM, TRAINING_SEEDS_FROM

__all__ = [
    "DEMO_SEEDS_FROM",
    "DOMAINS",
    "HELD_OUT_SEEDS_FROM",
    "TRAINING_SEEDS_FROM",
    "render_many",
    "render_seed",
    "rendered",
    "write",
]

DOMAINS = {"cars": cars, "faces": faces}
"""Each domain is a module with PARTS, GROUPS, COLOURS, sample_scene and render; one whose scenes
have identities, also with identity_of."""

Pixels = npt.NDArray[np.uint8]
Rendered = tuple[Pixels, Pixels, dict[str, Any]]


def render_seed(
    seed: int, domain: str = "cars", size_px: int = 64, per_identity: int | None = None
) -> Rendered:
    """Picture [size_px, size_px, 3], mask [size_px, size_px] and parameters of one seed.

    per_identity: how many neighbouring seeds show one identity; None is the domain's own number.
    """
    module = DOMAINS[domain]
    if per_identity is None:
        scene = module.sample_scene(seed)
    else:
        scene = module.sample_scene(seed, module.identity_of(seed, per_identity))
    picture, mask = module.render(scene, size_px)
    return picture, mask, scene.labels()


def rendered(
    seeds: Sequence[int],
    size_px: int = 64,
    processes: int | None = None,
    domain: str = "cars",
    per_identity: int | None = None,
) -> Iterator[Rendered]:
    """Render seeds in their order; processes None takes one for each core, 1 stays in this one."""
    draw = partial(render_seed, domain=domain, size_px=size_px, per_identity=per_identity)
    processes = processes or os.cpu_count() or 1
    if processes == 1:
        yield from map(draw, seeds)
        return
    # spawn: a fork of a process that holds threads (torch does) can hang
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(draw, seeds, chunksize=64)


def render_many(
    seeds: Sequence[int], size_px: int = 64, processes: int | None = None, domain: str = "cars"
) -> tuple[Pixels, Pixels]:
    """Pictures [n, size_px, size_px, 3] uint8 and masks [n, size_px, size_px] uint8 of seeds."""
    pictures = np.empty((len(seeds), size_px, size_px, 3), dtype=np.uint8)
    masks = np.empty((len(seeds), size_px, size_px), dtype=np.uint8)
    for index, (picture, mask, _) in enumerate(rendered(seeds, size_px, processes, domain)):
        pictures[index] = picture
        masks[index] = mask
    return pictures, masks


def write(
    folder: Path,
    seeds: Sequence[int],
    size_px: int = 64,
    processes: int | None = None,
    domain: str = "cars",
    per_identity: int | None = None,
) -> None:
    """Render seeds into the three files named above, without holding them all in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    side = (len(seeds), size_px, size_px)
    pictures = np.lib.format.open_memmap(folder / "pictures.npy", mode="w+", dtype=np.uint8, shape=(*side, 3))
    masks = np.lib.format.open_memmap(folder / "masks.npy", mode="w+", dtype=np.uint8, shape=side)
    scenes = rendered(seeds, size_px, processes, domain, per_identity)
    with (folder / "scenes.jsonl").open("w", encoding="utf-8") as lines:
        for index, (picture, mask, labels) in enumerate(tqdm(scenes, total=len(seeds), unit="pic")):
            pictures[index] = picture
            masks[index] = mask
            lines.write(json.dumps(labels) + "\n")
    pictures.flush()
    masks.flush()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Render scenes with exact part masks.")
    parser.add_argument("--domain", choices=sorted(DOMAINS), default="cars")
    parser.add_argument("--first-seed", type=int, default=TRAINING_SEEDS_FROM)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--size", type=int, default=64, help="side of the pictures in pixels")
    parser.add_argument("--processes", type=int, default=None, help="default: one for each core")
    parser.add_argument("--per-identity", type=int, default=None, help="pictures of each person (faces)")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    if asked.per_identity is not None and not hasattr(DOMAINS[asked.domain], "identity_of"):
        parser.error(f"scenes of {asked.domain} have no identity")
    seeds = range(asked.first_seed, asked.first_seed + asked.count)
    write(asked.out, seeds, asked.size, asked.processes, asked.domain, asked.per_identity)


if __name__ == "__main__":
    main()
