"""The handful of annotated pictures that a segmenter learns from: rendered, with masks, and inverted."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from gpu_ops.bundle import Bundle
from gpu_ops.invert import InvertResult, invert
from gpu_ops.picture import Picture
from gpu_ops.training.console import report


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


def annotate(bundle: Bundle, pictures: Picture, masks: Picture, *, steps: int, chunk: int = 50) -> Annotated:
    """Invert pictures uint8 [n, R, R, 3], `chunk` at a time, and keep them beside their masks."""
    results: list[InvertResult] = []
    for start in range(0, len(pictures), chunk):
        run = invert(bundle, np.ascontiguousarray(pictures[start : start + chunk]), steps=steps)
        results.append(report(run, f"inverting {start}"))
    return Annotated(
        w_plus=torch.cat([result.w_plus for result in results]),
        pictures=np.concatenate([result.pictures for result in results]),
        masks=masks,
        psnr_db=[value for result in results for value in result.psnr_db],
    )


def save_codes(path: Path, annotated: Annotated) -> None:
    save_file({"w_plus": annotated.w_plus.contiguous(), "masks": torch.from_numpy(annotated.masks)}, path)


def load_codes(path: Path) -> tuple[torch.Tensor, Picture]:
    """w_plus [N, L, D] and masks uint8 [N, H, W] as save_codes wrote them."""
    tensors = load_file(path)
    return tensors["w_plus"], tensors["masks"].numpy()
