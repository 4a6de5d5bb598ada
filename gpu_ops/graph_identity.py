"""A caller's own identity network: a graph that was imported, and how it wants pictures to be shown to it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F

from gpu_ops.identity import Embedder
from gpu_ops.onnx_graph import OnnxGraph, graph_of

GRAPH_KIND = "onnx_graph"


@dataclass(frozen=True)
class Sight:
    """How the network sees a picture.

    size_px   the side of its input
    mean, std  of red, green and blue, of values from 0 to 1; it sees (value - mean) / std
    channels  in which order it takes them
    crop      the side of the central square that it sees, as a share of the picture's
    """

    size_px: int = 112
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    channels: Literal["rgb", "bgr"] = "rgb"
    crop: float = 1.0

    def of(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures [N, 3, R, R] in [-1, 1] -> what the network is given [N, 3, size_px, size_px]."""
        size = (self.size_px, self.size_px)
        side = pictures.shape[-1]
        seen = max(1, round(side * self.crop))
        edge = (side - seen) // 2
        x = pictures[..., edge : edge + seen, edge : edge + seen]
        if x.shape[2:] != size:
            x = F.interpolate(x, size, mode="bilinear", antialias=True)
        mean, std = (x.new_tensor(each).reshape(3, 1, 1) for each in (self.mean, self.std))
        x = (x * 0.5 + 0.5 - mean) / std
        return x.flip(1) if self.channels == "bgr" else x


class GraphIdentity(Embedder):
    """alone: the graph takes one picture at a time, as its shapes are fixed."""

    def __init__(self, graph: OnnxGraph, sight: Sight, *, alone: bool = False) -> None:
        super().__init__()
        self.graph, self.sight, self.alone = graph, sight, alone

    def embed(self, pictures: torch.Tensor) -> torch.Tensor:
        return F.normalize(self.raw(pictures).float(), dim=1)

    def raw(self, pictures: torch.Tensor) -> torch.Tensor:
        """What the graph makes of pictures, [N, E], of any length."""
        x = self.sight.of(pictures)
        if not self.alone:
            found: torch.Tensor = self.graph(x)
            return found.flatten(1)
        return torch.stack([self.graph(each[None]).flatten() for each in x])

    def as_dict(self) -> dict[str, Any]:
        about = {"kind": GRAPH_KIND, "sight": asdict(self.sight), "alone": self.alone}
        return {**about, **self.graph.as_dict()}


def graph_identity_of(config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> GraphIdentity:
    """What as_dict told of, frozen. tensors as its state_dict has them."""
    given = dict(config["sight"])
    sight = Sight(**{**given, "mean": tuple(given["mean"]), "std": tuple(given["std"])})
    constants = {name.removeprefix("graph."): tensor for name, tensor in tensors.items()}
    identity = GraphIdentity(graph_of(config, constants), sight, alone=bool(config["alone"]))
    return identity.eval().requires_grad_(False)
