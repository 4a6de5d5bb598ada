"""Training the embedder of persons on rendered identities, by an angular margin.

    python -m gpu_ops.training.identity --data DIR --held-out DIR --out identity.safetensors

It may be ended at any time: started again, it goes on. Source: Deng et al. 2019 (ArcFace); departures: a
smaller margin and scale, the margin growing over the first fifth, and centres that begin at the mean of
what the untrained network makes of each person (Qi et al. 2018), which saves epochs.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from gpu_ops.identity import Embedder, Identity, IdentityConfig
from gpu_ops.picture import Picture, to_tensor
from gpu_ops.progress import State, Steps
from gpu_ops.training.place import low_precision
from gpu_ops.training.reader_command import Reader, train_and_score
from gpu_ops.training.reading import Indices, Reading, train_reader

STEPS = 2000
CHUNK = 100
People = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Margin:
    """ArcFace: the right person's angle is made `angle` radians wider before all are compared."""

    angle: float = 0.2
    scale: float = 16.0
    grows: float = 0.2  # share of the training over which the angle grows from 0


def angular_logits(cosines: torch.Tensor, labels: torch.Tensor, angle: float, scale: float) -> torch.Tensor:
    """Logits [N, C] of cosines [N, C] with the margin on labels int64 [N].

    Where the wider angle would pass pi, the cosine is lowered in a straight line instead.
    """
    own = cosines.gather(1, labels[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)  # [N, 1]
    wider = torch.cos(own.acos() + angle)
    lower = own - angle * float(np.sin(angle))
    past = own <= -float(np.cos(angle))
    return scale * cosines.scatter(1, labels[:, None], torch.where(past, lower, wider))


class Classified(nn.Module):
    """An embedder with a centre for each person."""

    def __init__(self, identity: Identity, people: int) -> None:
        super().__init__()
        self.identity = identity
        self.centres = nn.Parameter(F.normalize(torch.randn(people, identity.config.size), dim=1))

    def cosines(self, pictures: torch.Tensor) -> torch.Tensor:
        """Cosines [N, people] of pictures [N, 3, R, R] with each centre."""
        with low_precision(pictures.device):
            vectors = self.identity.embed(pictures)
        return vectors @ F.normalize(self.centres, dim=1).T


@torch.no_grad()
def imprint(classified: Classified, pictures: Picture, people: People, of_each: int = 4) -> None:
    """Put each centre at the mean vector of the person's first pictures, the network being untrained."""
    order = np.argsort(people, kind="stable")
    starts = np.searchsorted(people[order], np.arange(len(classified.centres)))
    sums = torch.zeros_like(classified.centres)
    device = sums.device
    classified.train()
    for shift in range(of_each):
        at = np.minimum(starts + shift, len(people) - 1)
        for first in range(0, len(at), CHUNK):
            chosen = order[at[first : first + CHUNK]]
            vectors = classified.identity.embed(to_tensor(pictures[np.sort(chosen)], device))
            sums.index_add_(0, torch.from_numpy(people[np.sort(chosen)]).to(device), vectors)
    classified.centres.copy_(F.normalize(sums, dim=1))


def train_identity(
    classified: Classified,
    pictures: Picture,
    people: People,
    reading: Reading,
    margin: Margin = Margin(),
    resume: State | None = None,
) -> Steps[None]:
    """Train on pictures uint8 [n, H, W, 3] of people int64 [n], numbered from 0."""
    if resume is None:
        imprint(classified, pictures, people)
    labels = torch.from_numpy(people).to(classified.centres.device)

    def loss(seen: torch.Tensor, chosen: Indices, done: float) -> torch.Tensor:
        wanted = labels[torch.from_numpy(chosen).to(labels.device)]
        angle = margin.angle * min(1.0, done / margin.grows)
        return F.cross_entropy(angular_logits(classified.cosines(seen), wanted, angle, margin.scale), wanted)

    return train_reader(classified, loss, pictures, reading, resume)


def numbered(scenes: Path) -> People:
    """Who each scene of a .jsonl file shows, numbered from 0: int64 [n]."""
    with scenes.open() as lines:
        names = [json.loads(line)["identity"] for line in lines]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


@torch.no_grad()
def embedded(identity: Embedder, pictures: Picture, device: torch.device | str = "cpu") -> torch.Tensor:
    """Unit vectors [n, E] of pictures uint8 [n, H, W, 3], by an embedder that is on `device`; on the CPU."""
    chunks = [pictures[start : start + CHUNK] for start in range(0, len(pictures), CHUNK)]
    return torch.cat([identity.embed(to_tensor(chunk, device)).cpu() for chunk in chunks])


def verification(vectors: torch.Tensor, people: People) -> dict[str, Any]:
    """How well cosines tell pairs of one person from pairs of two, over all pairs of vectors [n, E].

    equal_error: the share of both kinds that is told wrongly at the threshold where the shares are equal.
    nearest: how often the nearest other picture shows the same person.
    """
    cosines = (vectors @ vectors.T).double().numpy()
    same = people[:, None] == people[None]
    pairs = np.triu(np.ones_like(same), k=1)
    own, other = np.sort(cosines[same & pairs]), np.sort(cosines[~same & pairs])
    missed = np.searchsorted(own, own) / len(own)
    passed = 1 - np.searchsorted(other, own) / len(other)
    at = int(np.abs(missed - passed).argmin())
    nearest = np.where(np.eye(len(people), dtype=bool), -2, cosines).argmax(axis=1)
    return {
        "n": len(people),
        "people": len(np.unique(people)),
        "cosine_same": round(float(own.mean()), 4),
        "cosine_other": round(float(other.mean()), 4),
        "equal_error": round(float((missed[at] + passed[at]) / 2), 4),
        "threshold": round(float(own[at]), 4),
        "nearest": round(float((people[nearest] == people).mean()), 4),
    }


def begin(pictures: Picture, scenes: Path, reading: Reading, device: str = "cpu") -> Reader:
    """An untrained embedder, and what it is taught by and scored with."""
    people = numbered(scenes)
    identity = Identity(IdentityConfig(resolution=pictures.shape[1]))
    classified = Classified(identity, int(people.max()) + 1).to(device)
    return Reader(
        identity,
        identity.config,
        train=lambda kept: train_identity(classified, pictures, people, reading, resume=kept),
        figures=lambda held, exact: verification(embedded(identity, held, device), numbered(exact)),
    )


if __name__ == "__main__":
    train_and_score("identity", __doc__.partition("\n")[0], STEPS, begin)
