"""A vector applied to many inverted pictures, with or without refinement, and what leaks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gpu_ops.bundle import Bundle
from gpu_ops.picture import Picture
from gpu_ops.refine import leak_db, look, refine
from gpu_ops.score import outside_of
from gpu_ops.training.console import report
from gpu_ops.training.place import at_once
from gpu_ops.training.starters import load_vector

ON_CPU = 20


@dataclass(frozen=True)
class Vector:
    """delta_w [L, D], about the parts with ids q_edit."""

    delta_w: torch.Tensor
    q_edit: tuple[int, ...]


@dataclass(frozen=True)
class Subjects:
    """Pictures and their inversions: originals, inverted uint8 [N, R, R, 3]; masks uint8 [N, R, R] and
    w_plus [N, L, D] are of the inverted."""

    originals: Picture
    inverted: Picture
    masks: Picture
    w_plus: torch.Tensor

    @classmethod
    def of(cls, bundle: Bundle, originals: Picture, w_plus: torch.Tensor) -> "Subjects":
        chunk = at_once(bundle.device, ON_CPU)
        views = [look(bundle, w_plus[start : start + chunk]) for start in range(0, len(w_plus), chunk)]
        pictures = np.concatenate([view.pictures for view in views])
        return cls(originals, pictures, np.concatenate([view.masks for view in views]), w_plus)


def load_vector_of(bundle: Bundle, path: Path) -> Vector:
    delta_w, about = load_vector(path)
    return Vector(delta_w.to(bundle.device), tuple(bundle.parts.index(part) for part in about["q_edit"]))


def edited(
    bundle: Bundle, subjects: Subjects, vector: Vector, strength: float, refine_steps: int
) -> tuple[Picture, list[float]]:
    """Pictures with the vector applied, and refined; and what leaks outside, as PSNR [N]."""
    pictures, leaks, chunk = [], [], at_once(bundle.device, ON_CPU)
    for start in range(0, len(subjects.w_plus), chunk):
        w_plus = subjects.w_plus[start : start + chunk]
        delta_w = (strength * vector.delta_w).to(w_plus).expand_as(w_plus)
        applied = look(bundle, w_plus + delta_w)
        shown = applied
        if refine_steps:
            run = refine(bundle, w_plus, delta_w, vector.q_edit, steps=refine_steps)
            shown = look(bundle, w_plus + report(run, f"strength {strength}: refining {start}").delta_w)
        pictures.append(shown.pictures)
        for item, mask in enumerate(applied.masks):
            at = start + item
            outside = outside_of(subjects.masks[at], mask, vector.q_edit)
            leaks.append(leak_db(subjects.inverted[at], shown.pictures[item], outside))
    return np.concatenate(pictures), leaks
