"""Training the bundled perceptual backbone: a SqueezeNet that reads a scene's attributes off its picture.

    python -m gpu_ops.training.perceptual --data DIR --out perceptual.safetensors
    python -m gpu_ops.training.perceptual --out perceptual.safetensors --edit-factor X --invert-factor Y

The second form records factors in a file that is there, and trains nothing.
Its features must tell apart what people would, so it learns colours, lights, sizes and places of things;
it never sees a mask. Pictures are spoiled and partly blanked, as the edit's loss will show them.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

import gpu_ops.torchvision_shim  # noqa: F401  before torchvision
from gpu_ops.network_file import load_network, save_network
from gpu_ops.picture import Picture, to_tensor
from gpu_ops.progress import Progress
from gpu_ops.training.place import add_device, low_precision
from gpu_ops.training.spoil import spoil

from torchvision.models import squeezenet1_1  # isort: skip

BATCH = 64
HIGHEST_LR = 1.5e-3
NAME = "squeezenet1_1 of the bundled model, uncalibrated"
NO_LOOKS = {"seed", "identity"}  # of a scene: they say which it is, not how it looks
Attributes = npt.NDArray[np.float32]


class AttributeReader(nn.Module):
    """SqueezeNet 1.1 features, pooled, and a linear head; pictures as lpips scales them."""

    shift: torch.Tensor
    scale: torch.Tensor

    def __init__(self, attributes: int) -> None:
        super().__init__()
        self.features: nn.Module = squeezenet1_1(weights=None).features
        self.head = nn.Linear(512 * 4, attributes)
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None])
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None])

    def deep(self, picture: torch.Tensor) -> torch.Tensor:
        """The last features [N, 512, h, w] of picture [N, 3, H, W] in [-1, 1]."""
        features: torch.Tensor = self.features((picture - self.shift) / self.scale)
        return features.float()

    def guess(self, deep: torch.Tensor) -> torch.Tensor:
        """Standardised attributes [N, A] from the last features."""
        attributes: torch.Tensor = self.head(F.adaptive_avg_pool2d(deep, 2).flatten(1))
        return attributes

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return self.guess(self.deep(picture))


def read_attributes(path: Path) -> tuple[list[str], Attributes]:
    """The scenes of a .jsonl file: columns' names, and standardised numbers [n, A].

    An attribute that is a word becomes one column `attribute=word` per word.
    """
    scenes = [json.loads(line) for line in path.read_text().splitlines()]
    names: list[str] = []
    columns = []
    for name in sorted(scenes[0].keys() - NO_LOOKS):
        values = [scene[name] for scene in scenes]
        if isinstance(values[0], str):
            words = sorted(set(values))
            names += [f"{name}={word}" for word in words]
            columns += [np.array([value == word for value in values]) for word in words]
        else:
            names.append(name)
            columns.append(np.array(values))
    table = np.stack(columns, axis=1).astype(np.float32)
    standardised: Attributes = (table - table.mean(axis=0)) / (table.std(axis=0) + 1e-6)
    return names, standardised


def blank(pictures: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Blank a rectangle (mid grey) in about half of pictures [N, 3, H, W]."""
    size = pictures.shape[-1]
    keep = torch.ones(len(pictures), 1, size, size)
    for item in np.flatnonzero(rng.random(len(pictures)) < 0.5):
        top, left = rng.integers(0, size - 8, 2)
        height, width = rng.integers(8, size // 2, 2)
        keep[item, :, top : top + height, left : left + width] = 0
    return pictures * keep


def train_backbone(
    reader: AttributeReader, pictures: Picture, attributes: Attributes, *, steps: int, seed: int = 0
) -> Iterator[Progress]:
    """Regress attributes [n, A] from pictures uint8 [n, H, W, 3], yielding Progress each step."""
    rng, device = np.random.default_rng(seed), reader.head.weight.device
    noise = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(reader.parameters(), lr=HIGHEST_LR, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, HIGHEST_LR, total_steps=steps)
    reader.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for step in range(1, steps + 1):
        chosen = np.sort(rng.choice(len(pictures), BATCH, replace=False))
        x = blank(spoil(to_tensor(pictures[chosen]), rng, noise), rng)
        wanted = torch.from_numpy(attributes[chosen]).to(device)
        with low_precision(device):
            guess = reader(x.to(device, memory_format=torch.channels_last))
        loss = F.mse_loss(guess.float(), wanted)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        yield Progress(step, steps, {"mse": float(loss.detach())})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with pictures.npy and scenes.jsonl")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--edit-factor", type=float, default=1.0, help="on lambda_rgb of edits; recorded")
    parser.add_argument("--invert-factor", type=float, default=1.0, help="on LPIPS of inversions; recorded")
    add_device(parser)
    options = parser.parse_args()
    if options.data is None:
        reader, names = load_reader(options.out)
        save_backbone(options.out, reader, names, options.edit_factor, options.invert_factor)
        return
    torch.manual_seed(options.seed)
    names, attributes = read_attributes(options.data / "scenes.jsonl")
    pictures = np.load(options.data / "pictures.npy", mmap_mode="r")
    reader = AttributeReader(attributes.shape[1]).to(options.device)
    for progress in train_backbone(reader, pictures, attributes, steps=options.steps, seed=options.seed):
        if progress.step % 50 == 0:
            print(f"{progress.step}/{progress.total} mse {progress.losses['mse']:.4f}", flush=True)
    save_backbone(options.out, reader, names, options.edit_factor, options.invert_factor)


def save_backbone(
    path: Path, reader: AttributeReader, names: list[str], edit_factor: float, invert_factor: float
) -> None:
    """Write the features (torchvision's layout) and the head, half precision, with names and factor."""
    factors = {"edit_factor": edit_factor, "invert_factor": invert_factor}
    about = {"name": NAME, **factors, "attributes": names}
    save_network(path, reader, about, half=True)


def load_reader(path: Path) -> tuple[AttributeReader, list[str]]:
    """The whole network, features and head, in evaluation mode, and the attributes' names."""
    about, tensors = load_network(path)
    reader = AttributeReader(len(about["attributes"]))
    reader.load_state_dict(tensors)
    return reader.eval().requires_grad_(False), about["attributes"]


if __name__ == "__main__":
    main()
