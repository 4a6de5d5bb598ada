"""Editing vectors put to use: added up, each with a strength of its own."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from gpu_ops.errors import NonFiniteError, ShapeError


@dataclass(frozen=True)
class Use:
    """One vector on its way into a picture.

    delta_w   [L, D] float32, the editing vector
    strength  any number; negative: the other way
    id        what the order of adding up is by
    """

    delta_w: torch.Tensor
    strength: float
    id: str


def combine(uses: Iterable[Use], like: torch.Tensor) -> torch.Tensor | None:
    """The sum of strength * delta_w [L, D] in the order of ids, as float32 on the device of `like` [N, L, D].

    None where every strength is 0. Raises ShapeError; NonFiniteError for a strength that is no number.
    """
    total: torch.Tensor | None = None
    for use in sorted(uses, key=lambda use: (use.id, use.strength)):
        if use.delta_w.shape != like.shape[1:]:
            raise ShapeError(f"vector {use.id} is {list(use.delta_w.shape)}, codes {list(like.shape[1:])}")
        if use.strength == 0:
            continue
        step = use.strength * use.delta_w.to(like)
        if not bool(torch.isfinite(step).all()):
            raise NonFiniteError(f"vector {use.id} at strength {use.strength} is not finite")
        total = step if total is None else total + step
    return total


def compose(w_plus: torch.Tensor, uses: Iterable[Use]) -> torch.Tensor:
    """Codes w_plus [N, L, D] with vectors added: w_plus + sum of strength * delta_w.

    The sum is taken in the order of ids, so that the order given changes no bit; where every strength is 0,
    the codes come back as they are, bit for bit. Raises ShapeError, NonFiniteError.
    Source: Ling et al. 2021 (EditGAN), section 3.3.
    """
    total = combine(uses, w_plus)
    return w_plus.clone() if total is None else w_plus + total
