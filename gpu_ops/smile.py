"""How much a face smiles: a reader of pictures alone, to count smiles by. Part of no optimisation."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from gpu_ops.network_file import load_network
from gpu_ops.picture import Picture, to_tensor
from gpu_ops.residual import Trunk

CHUNK = 100


@dataclass(frozen=True)
class SmileConfig:
    """smiling_from, frowning_to: where the amount begins to count as the one or the other."""

    resolution: int = 64
    width: int = 16
    smiling_from: float = 0.275
    frowning_to: float = -0.275

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class SmileReader(nn.Module):
    """forward: [N, 3, R, R] in [-1, 1] -> amount [N], about -1 (a frown) to 1 (a broad smile)."""

    def __init__(self, config: SmileConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = Trunk(config.resolution, config.width)
        self.out = nn.Linear(self.trunk.outputs, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        amount: torch.Tensor = self.out(self.trunk(pictures))[:, 0]
        return amount

    @torch.no_grad()
    def amounts(self, pictures: Picture) -> torch.Tensor:
        """The amounts float32 [N] of pictures uint8 [N, H, W, 3]."""
        device = self.out.weight.device
        chunks = [pictures[start : start + CHUNK] for start in range(0, len(pictures), CHUNK)]
        return torch.cat([self(to_tensor(chunk, device)).float().cpu() for chunk in chunks])

    def expressions(self, pictures: Picture) -> list[str]:
        """smiling, neutral or frowning, of pictures uint8 [N, H, W, 3]."""
        return [self._word(amount) for amount in self.amounts(pictures).tolist()]

    def _word(self, amount: float) -> str:
        if amount >= self.config.smiling_from:
            return "smiling"
        return "frowning" if amount <= self.config.frowning_to else "neutral"


def load_smile(path: Path) -> SmileReader:
    """A model's reader of smiles, frozen, in evaluation mode."""
    config, tensors = load_network(path)
    reader = SmileReader(SmileConfig(**config))
    reader.load_state_dict(tensors)
    return reader.eval().requires_grad_(False)
