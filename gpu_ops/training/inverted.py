"""Codes of many pictures, found once and kept in a file: the next command of the same folder reads them."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from gpu_ops.bundle import Bundle
from gpu_ops.picture import Picture
from gpu_ops.training.annotate import invert_all
from gpu_ops.training.going_on import go_on
from gpu_ops.training.place import at_once

CODES = "w_plus"
ON_CPU = 20


def codes_of(
    bundle: Bundle,
    pictures: Picture,
    kept: Path,
    steps: int,
    chunk: int | None = None,
    lambda_prior: float = 0.0,
) -> torch.Tensor:
    """The codes [n, L, D] of pictures uint8 [n, R, R, 3], from the file `kept` or by `steps` of inversion.

    It may be ended at any time: the state is kept beside the file. Raises ValueError where the file holds
    codes of another number of pictures.
    """
    if not kept.exists():
        some = chunk or at_once(bundle.device, ON_CPU)
        found = go_on(
            lambda state: invert_all(
                bundle, pictures, steps=steps, chunk=some, lambda_prior=lambda_prior, resume=state
            ),
            kept.with_suffix(".state"),
            f"inverting {kept.stem}",
        )
        save_file({CODES: found.w_plus.cpu().contiguous()}, kept)
    w_plus = load_file(kept)[CODES].to(bundle.device)
    if len(w_plus) != len(pictures):
        raise ValueError(
            f"{kept} holds {len(w_plus)} codes, not {len(pictures)}: remove it, or ask for as many"
        )
    return w_plus
