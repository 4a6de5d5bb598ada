"""Which samples to annotate: those that a segmenter is unsure of, and no two alike.

Source of the uncertainty: Zhang et al. 2021 (DatasetGAN). The choice among unsure pictures is this project's
own: the next one is where uncertainty times the distance to all chosen before is largest.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from gpu_ops.bundle import Bundle
from gpu_ops.picture import Picture, to_uint8
from gpu_ops.progress import Progress, State, Steps
from gpu_ops.sample import seeded_code
from gpu_ops.unannotated import Unannotated
from gpu_ops.uncertainty import picture_score, uncertainty

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Suggestion:
    """A sample: picture uint8 [R, R, 3], predicted mask uint8 [R, R], uncertainty float32 [R, R] in nats.

    score     the picture's, in nats; 0 where the model has no segmenter
    distance  of what the perceptual backbone sees (unit vectors) to the nearest one suggested before, 0 to 2;
              of the first, 2
    """

    seed: int
    score: float
    distance: float
    picture: Picture
    mask: Picture
    unsure: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Suggestions:
    """looked_at: how many samples these were chosen from."""

    items: list[Suggestion]
    looked_at: int


def suggest(
    bundle: Bundle, seeds: list[int], truncation_psi: float, count: int, *, resume: State | None = None
) -> Steps[Suggestions]:
    """Look at the samples of seeds and return the `count` to annotate, best first.

    Yields Progress after each sample; sent True, it chooses among those seen so far.
    """
    scores = torch.zeros(0, dtype=torch.float64)
    seen = torch.zeros(0, 0, dtype=torch.float64)
    if resume is not None:
        scores, seen = resume["scores"], resume["seen"]

    def state() -> State:
        return {"scores": scores.clone(), "seen": seen.clone()}

    while len(scores) < len(seeds):
        score, view = _look(bundle, seeds[len(scores)], truncation_psi)
        scores = torch.cat([scores, score])
        seen = torch.cat([seen, view]) if len(seen) else view
        enough = yield Progress(len(scores), len(seeds), {"uncertainty": float(score)}, state=state)
        if enough:
            break
    chosen = choose(scores.numpy(), seen.numpy(), count)
    items = [
        _drawn(bundle, seeds[index], truncation_psi, float(scores[index]), distance)
        for index, distance in chosen
    ]
    return Suggestions(items, len(scores))


def choose(scores: Numbers, seen: Numbers, count: int) -> list[tuple[int, float]]:
    """Indices of `count` rows (all, where there are fewer), best first, and each one's distance when chosen.

    scores [n], at least 0; seen [n, C] unit vectors. Where nothing is unsure, distance alone decides,
    beginning with the most ordinary picture.
    """
    top = scores.max()
    weight = scores / top if top > 0 else np.ones(len(scores))
    ordinary = np.linalg.norm(seen - seen.mean(axis=0), axis=1)
    first = int(np.argmax(weight)) if top > 0 else int(np.argmin(ordinary))
    chosen = [(first, 2.0)]
    distance = np.linalg.norm(seen - seen[first], axis=1)
    while len(chosen) < min(count, len(scores)):
        value = weight * distance
        value[[index for index, _ in chosen]] = -1
        best = int(np.argmax(value))
        chosen.append((best, float(distance[best])))
        distance = np.minimum(distance, np.linalg.norm(seen - seen[best], axis=1))
    return chosen


@torch.no_grad()
def _look(bundle: Bundle, seed: int, truncation_psi: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A sample's score [1], and what the backbone sees of it as a unit vector [1, C]."""
    drawn = bundle.generator.synthesise(seeded_code(bundle, seed, truncation_psi))
    view = torch.nn.functional.normalize(bundle.perceptual.pooled(drawn.picture.clamp(-1, 1)).double(), dim=1)
    if isinstance(bundle.segmenter, Unannotated):
        return torch.zeros(1, dtype=torch.float64), view.cpu()
    score = picture_score(uncertainty(bundle.segmenter, drawn.features))
    return score.double().cpu(), view.cpu()


@torch.no_grad()
def _drawn(bundle: Bundle, seed: int, truncation_psi: float, score: float, distance: float) -> Suggestion:
    drawn = bundle.generator.synthesise(seeded_code(bundle, seed, truncation_psi))
    size = bundle.resolution_px
    unsure = torch.zeros(1, size, size)
    if not isinstance(bundle.segmenter, Unannotated):
        unsure = uncertainty(bundle.segmenter, drawn.features)
    mask = bundle.segmenter.predict(drawn.features)[0].to(torch.uint8).cpu().numpy()
    return Suggestion(
        seed, score, distance, to_uint8(drawn.picture)[0], mask, unsure[0].float().cpu().numpy()
    )
