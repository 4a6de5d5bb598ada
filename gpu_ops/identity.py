"""Who a picture shows: an embedder whose unit vectors lie close together for one person.

Trained with an ArcFace loss (gpu_ops/training/identity.py). An edit of a face may weigh the distance
to the person it began from (Ling et al. 2021, eq. 4, as 1 - cos).
"""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from gpu_ops.residual import Trunk


@dataclass(frozen=True)
class IdentityConfig:
    """resolution: what pictures are brought to; width: channels of the first map; size: E."""

    resolution: int = 64
    width: int = 24
    size: int = 64

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class Embedder(nn.Module, ABC):
    """Unit vectors of pictures, whatever makes them; a picture's does not depend on its neighbours."""

    @abstractmethod
    def embed(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures [N, 3, R, R] in [-1, 1], of any R -> unit vectors [N, E], with a slope."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.embed(pictures)

    @staticmethod
    def distance(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """1 - cosine of unit vectors [N, E]: [N], in [0, 2]."""
        return 1 - (one * other).sum(dim=1)


class Identity(Embedder):
    """The embedder that is trained here. It is to be in evaluation mode."""

    def __init__(self, config: IdentityConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = Trunk(config.resolution, config.width)
        self.out = nn.Linear(self.trunk.outputs, config.size, bias=False)
        self.norm = nn.BatchNorm1d(config.size)

    def embed(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures [N, 3, R, R] in [-1, 1], of any R -> unit vectors [N, E]."""
        return F.normalize(self.norm(self.out(self.trunk(pictures))).float(), dim=1)
