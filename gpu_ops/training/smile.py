"""Training the reader of smiles on renders.

    python -m gpu_ops.training.smile --data DIR --held-out DIR --out smile.safetensors

It may be ended at any time: started again, it goes on. Scored on the held-out renders, whose people it
never saw; scenes between two expressions are of no class and are left out there.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from gpu_ops.picture import Picture
from gpu_ops.progress import State, Steps
from gpu_ops.smile import SmileConfig, SmileReader
from gpu_ops.training.place import low_precision
from gpu_ops.training.reader_command import Reader, train_and_score
from gpu_ops.training.reading import Indices, Reading, train_reader

STEPS = 3000
Amounts = npt.NDArray[np.float32]


def train_smile(
    reader: SmileReader, pictures: Picture, amounts: Amounts, reading: Reading, resume: State | None = None
) -> Steps[None]:
    """Regress amounts float32 [n] from pictures uint8 [n, H, W, 3]."""
    device = reader.out.weight.device
    wanted = torch.from_numpy(amounts).to(device)

    def loss(seen: torch.Tensor, chosen: Indices, _done: float) -> torch.Tensor:
        with low_precision(device):
            amount = reader(seen)
        return F.smooth_l1_loss(amount.float(), wanted[torch.from_numpy(chosen).to(device)], beta=0.1)

    return train_reader(reader, loss, pictures, reading, resume)


def labels(scenes: Path) -> tuple[Amounts, list[str]]:
    """How much each scene of a .jsonl file smiles, float32 [n], and the words of their expressions."""
    with scenes.open() as lines:
        rows = [json.loads(line) for line in lines]
    return np.array([row["smile"] for row in rows], dtype=np.float32), [row["expression"] for row in rows]


def accuracy(found: list[str], exact: list[str]) -> dict[str, Any]:
    """Share told rightly, of all that have an expression and of each; and of smiling against not."""
    pairs = [(mine, theirs) for mine, theirs in zip(found, exact, strict=True) if theirs != "between"]
    figures: dict[str, Any] = {
        "n": len(pairs),
        "accuracy": _share([mine == theirs for mine, theirs in pairs]),
        "smiling_or_not": _share([(mine == "smiling") == (theirs == "smiling") for mine, theirs in pairs]),
    }
    for word in sorted({theirs for _, theirs in pairs}):
        figures[word] = _share([mine == theirs for mine, theirs in pairs if theirs == word])
    return figures


def _share(hits: list[bool]) -> float:
    return round(float(np.mean(hits)), 4)


def begin(pictures: Picture, scenes: Path, reading: Reading, device: str = "cpu") -> Reader:
    """An untrained reader, and what it is taught by and scored with."""
    amounts, _ = labels(scenes)
    network = SmileReader(SmileConfig(resolution=pictures.shape[1])).to(device)
    return Reader(
        network,
        network.config,
        train=lambda kept: train_smile(network, pictures, amounts, reading, resume=kept),
        figures=lambda held, exact: accuracy(network.expressions(held), labels(exact)[1]),
    )


if __name__ == "__main__":
    train_and_score("smile", __doc__.partition("\n")[0], STEPS, begin)
