"""The handful of annotated pictures that a segmenter learns from: rendered, with masks, and inverted."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from gpu_ops.bundle import Bundle
from gpu_ops.invert import invert
from gpu_ops.metrics import psnr_db
from gpu_ops.picture import Picture, to_uint8
from gpu_ops.progress import State, Steps
from gpu_ops.stages import resumed, stage
from gpu_ops.training.console import report
from gpu_ops.training.place import at_once

CHUNK = "chunk"
ON_CPU = 50


@dataclass(frozen=True)
class Annotated:
    """w_plus float32 [N, L, D]; pictures uint8 [N, H, W, 3]; exact masks uint8 [N, H, W]."""

    w_plus: torch.Tensor
    pictures: Picture
    masks: Picture
    psnr_db: list[float]


def choose(kinds: list[str], count: int) -> list[int]:
    """Indices of `count` scenes, taking the kinds in turn, so that each is annotated about as often."""
    waiting: dict[str, list[int]] = {}
    for index, kind in enumerate(kinds):
        waiting.setdefault(kind, []).append(index)
    queues = [waiting[kind] for kind in sorted(waiting)]
    chosen: list[int] = []
    while len(chosen) < count and any(queues):
        chosen += [queue.pop(0) for queue in queues if queue]
    return sorted(chosen[:count])


@dataclass(frozen=True)
class Inverted:
    """w_plus float32 [N, L, D]; pictures uint8 [N, H, W, 3], redrawn from it; how like the originals."""

    w_plus: torch.Tensor
    pictures: Picture
    psnr_db: list[float]


def annotate(bundle: Bundle, pictures: Picture, masks: Picture, *, steps: int) -> Annotated:
    """Invert pictures uint8 [n, R, R, 3], some at a time, and keep them beside their masks."""
    chunk = at_once(bundle.device, ON_CPU)
    found = report(invert_all(bundle, pictures, steps=steps, chunk=chunk), "inverting")
    return Annotated(found.w_plus, found.pictures, masks, found.psnr_db)


def invert_all(
    bundle: Bundle,
    pictures: Picture,
    *,
    steps: int,
    chunk: int = ON_CPU,
    lambda_prior: float = 0.0,
    resume: State | None = None,
) -> Steps[Inverted]:
    """Invert pictures uint8 [n, R, R, 3], `chunk` of them at a time, yielding Progress each step.

    Sent True, it takes one more step for each chunk that is left.
    """
    w_plus = bundle.generator.mapping.w_avg.new_zeros(
        0, bundle.generator.num_ws, bundle.generator.config.w_dim
    )
    if resume is not None:
        w_plus = resume["codes"].to(bundle.device)
    total = steps * math.ceil(len(pictures) / chunk)
    while len(w_plus) < len(pictures):
        some = np.ascontiguousarray(pictures[len(w_plus) : len(w_plus) + chunk])
        run = invert(
            bundle, some, steps=steps, lambda_prior=lambda_prior, resume=_of_chunk(resume, len(some))
        )
        done = steps * math.ceil(len(w_plus) / chunk)
        carry = {"codes": w_plus.to("cpu", copy=True)}
        inverted = yield from stage(CHUNK, run, done=done, total=total, carry=carry)
        w_plus, resume = torch.cat([w_plus, inverted.w_plus]), None
    redrawn = np.concatenate([to_uint8(bundle.draw(code[None])[0]) for code in w_plus])
    psnr = [psnr_db(mine, theirs) for mine, theirs in zip(redrawn, pictures, strict=True)]
    return Inverted(w_plus, redrawn, psnr)


def _of_chunk(resume: State | None, count: int) -> State | None:
    """What a checkpoint holds of the chunk to be inverted; None where the chunk was another."""
    own = resumed(CHUNK, resume) or {}
    return own if "value" in own and len(own["value"]) == count else None


def save_codes(path: Path, annotated: Annotated) -> None:
    tensors = {"w_plus": annotated.w_plus.cpu().contiguous(), "masks": torch.from_numpy(annotated.masks)}
    save_file(tensors, path)


def load_codes(path: Path) -> tuple[torch.Tensor, Picture]:
    """w_plus [N, L, D] and masks uint8 [N, H, W] as save_codes wrote them."""
    tensors = load_file(path)
    return tensors["w_plus"], tensors["masks"].numpy()
