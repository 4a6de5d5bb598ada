"""A model's samples measured, or what an editing vector makes of them.

FID and KID need pictures to compare with; they are read by the model's own perceptual backbone, unless
weights of Inception v3 are given. Which it was is part of the figures. On the command line:
python -m gpu_ops.evaluation --help
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gpu_ops.bundle import Bundle
from gpu_ops.errors import ShapeError
from gpu_ops.fidelity import Features, frechet_distance, kernel_distance
from gpu_ops.picture import Picture, to_tensor, to_uint8
from gpu_ops.progress import Progress, State, Steps
from gpu_ops.sample import seeded_code
from gpu_ops.vectors import Use, compose

Attribute = tuple[str, str, Callable[[Picture], list[str]]]
"""The word asked for, the name of the classifier, and what it tells of pictures."""


@dataclass(frozen=True)
class Plan:
    """What to measure: seeds to draw, pictures uint8 [n, R, R, 3] to compare with, a vector, an attribute.

    chunk  pictures at a time; where the sums of a reader depend on that, so do last bits of the figures
    """

    seeds: list[int]
    truncation_psi: float = 1.0
    pictures: Picture | None = None
    features: Features | None = None
    use: Use | None = None
    attribute: Attribute | None = None
    subsets: int = 100
    subset_size: int = 1000
    seed: int = 0
    chunk: int = 16


@dataclass(frozen=True)
class Evaluation:
    """figures as JSON has them; of the first seeds, the pictures before and after: uint8 [n, R, R, 3]."""

    figures: dict[str, Any]
    before: Picture
    after: Picture


SHOWN = 16


def own_features(bundle: Bundle) -> Features:
    """What the model's perceptual backbone sees last, averaged over the picture."""
    return Features(bundle.perceptual.name, bundle.perceptual.pooled)


def evaluate(bundle: Bundle, plan: Plan, *, resume: State | None = None) -> Steps[Evaluation]:
    """Draw, edit, and read `chunk` pictures at a time, yielding Progress after each.

    Sent True, it measures what was drawn so far. Raises ShapeError for pictures of another size.
    """
    if plan.pictures is not None and plan.pictures.shape[1] != bundle.resolution_px:
        found, drawn_px = list(plan.pictures.shape), bundle.resolution_px
        raise ShapeError(f"pictures are {found}, the model draws {drawn_px} px")
    features = plan.features or own_features(bundle)
    reference = 0 if plan.pictures is None else len(plan.pictures)
    total = reference + len(plan.seeds)
    kept: dict[str, list[torch.Tensor]] = {}
    if resume is not None:
        kept = {name: [tensor] for name, tensor in resume.items()}

    def state() -> State:
        return {name: torch.cat(rows).contiguous() for name, rows in kept.items()}

    while _count(kept, "real") < reference:
        assert plan.pictures is not None
        start = _count(kept, "real")
        _add(kept, {"real": _read(bundle, features, plan.pictures[start : start + plan.chunk])})
        yield Progress(_count(kept, "real"), total, state=state)
    while (drawn := _count(kept, "drawn")) < len(plan.seeds):
        _add(kept, _measure(bundle, plan, features, plan.seeds[drawn : drawn + plan.chunk], reference > 0))
        done = reference + _count(kept, "drawn")
        enough = yield Progress(done, total, state=state)
        if enough and _count(kept, "drawn") >= 2:
            break
    before, after = _pair(bundle, plan, plan.seeds[: min(SHOWN, _count(kept, "drawn"))])
    return Evaluation(_figures(plan, features, state()), before, after)


def _measure(bundle: Bundle, plan: Plan, features: Features, seeds: list[int], read: bool) -> State:
    before, after = _pair(bundle, plan, seeds)
    rows = {"drawn": torch.zeros(len(seeds))}
    if read:
        rows["fake"] = _read(bundle, features, after)
    if plan.attribute is not None:
        wanted, _, tell = plan.attribute
        for name, pictures in (("attribute_before", before), ("attribute_after", after)):
            rows[name] = torch.tensor([word == wanted for word in tell(pictures)], dtype=torch.float64)
    if plan.use is not None and bundle.identity is not None:
        with torch.no_grad():
            one, two = (bundle.identity.embed(to_tensor(some, bundle.device)) for some in (before, after))
        rows["identity"] = (one * two).sum(dim=1).double().cpu()
    return rows


def _pair(bundle: Bundle, plan: Plan, seeds: list[int]) -> tuple[Picture, Picture]:
    """Samples, and what the vector makes of them; one by one, so that a seed always gives the same."""
    codes = [seeded_code(bundle, seed, plan.truncation_psi) for seed in seeds]
    before = np.concatenate([_drawn(bundle, code) for code in codes])
    if plan.use is None:
        return before, before
    return before, np.concatenate([_drawn(bundle, compose(code, [plan.use])) for code in codes])


@torch.no_grad()
def _drawn(bundle: Bundle, w_plus: torch.Tensor) -> Picture:
    return to_uint8(bundle.generator.synthesise(w_plus).picture)


@torch.no_grad()
def _read(bundle: Bundle, features: Features, pictures: Picture) -> torch.Tensor:
    return features.read(to_tensor(pictures, bundle.device)).double().cpu()


def _add(kept: dict[str, list[torch.Tensor]], rows: State) -> None:
    for name, tensor in rows.items():
        kept.setdefault(name, []).append(tensor)


def _count(kept: dict[str, list[torch.Tensor]], name: str) -> int:
    return sum(len(rows) for rows in kept.get(name, []))


def _figures(plan: Plan, features: Features, rows: State) -> dict[str, Any]:
    found: dict[str, Any] = {"samples": len(rows["drawn"])}
    if "real" in rows:
        real, fake = (rows[name].numpy() for name in ("real", "fake"))
        mean, deviation = kernel_distance(
            real, fake, subsets=plan.subsets, size=plan.subset_size, seed=plan.seed
        )
        found |= {
            "pictures": len(real),
            "features": features.name,
            "fid": frechet_distance(real, fake),
            "kid_mean": mean,
            "kid_std": deviation,
            "kid_subsets": plan.subsets,
            "kid_subset_size": min(plan.subset_size, len(real), len(fake)),
        }
    if plan.attribute is not None:
        found |= {"attribute": plan.attribute[0], "classifier": plan.attribute[1]}
        found |= {name: float(rows[name].mean()) for name in ("attribute_before", "attribute_after")}
    if "identity" in rows:
        found |= {"identity_cosine": float(rows["identity"].mean())}
    return found
