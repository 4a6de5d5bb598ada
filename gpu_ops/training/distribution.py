"""How samples compare with the pictures that a model was trained on, by the attribute reader."""

from dataclasses import dataclass

import numpy as np
import torch

from gpu_ops.fidelity import Rows
from gpu_ops.fidelity import frechet_distance as frechet_distance
from gpu_ops.picture import Picture, to_tensor
from gpu_ops.training.perceptual import AttributeReader

CHUNK = 100


@dataclass(frozen=True)
class Reading:
    """features [n, 512], the backbone's last layer averaged over the picture; guesses [n, A], attributes."""

    features: Rows
    guesses: Rows


@torch.no_grad()
def read_pictures(reader: AttributeReader, pictures: Picture) -> Reading:
    """Read pictures uint8 [n, H, W, 3]."""
    features, guesses, device = [], [], reader.head.weight.device
    for start in range(0, len(pictures), CHUNK):
        deep = reader.deep(to_tensor(pictures[start : start + CHUNK], device))  # [N, 512, h, w]
        features.append(deep.mean(dim=(2, 3)))
        guesses.append(reader.guess(deep))
    return Reading(*(torch.cat(rows).double().cpu().numpy() for rows in (features, guesses)))


def shares_of(kind: str, guesses: Rows, names: list[str]) -> dict[str, float]:
    """Share of each word of the attribute `kind` among guesses [n, A], by the likeliest word of each."""
    columns = {name.split("=")[1]: i for i, name in enumerate(names) if name.startswith(f"{kind}=")}
    likeliest = guesses[:, list(columns.values())].argmax(axis=1)
    counts = np.bincount(likeliest, minlength=len(columns))
    return {name: float(counts[i] / len(guesses)) for i, name in enumerate(columns)}
