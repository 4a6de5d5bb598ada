"""Pictures with the masks that a segmenter reads from their features, and how sure it is of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from gpu_ops.bundle import Bundle
from gpu_ops.picture import Picture, to_uint8
from gpu_ops.reading import Places
from gpu_ops.uncertainty import disagreement, picture_score


@dataclass(frozen=True)
class Labelled:
    """pictures uint8 [N, R, R, 3]; masks uint8 [N, R, R]; scores float64 [N]: uncertainty, in nats."""

    pictures: Picture
    masks: Picture
    scores: npt.NDArray[np.float64]


@torch.no_grad()
def label(bundle: Bundle, w_plus: torch.Tensor) -> Labelled:
    """Draw codes w_plus [N, L, D], and ask each classifier once for mask and uncertainty.

    The masks are those of Bundle.draw, bit for bit. One item's pixels at a time, as in Segmenter.predict.
    Raises IncompleteModelError where the model has no segmenter.
    """
    drawn = bundle.generator.synthesise(w_plus)
    size = bundle.segmenter.config.resolution
    places = Places(torch.arange(size * size, device=w_plus.device), size)
    masks, scores = [], []
    for item in range(len(w_plus)):
        logits = bundle.segmenter.each_at([maps[item : item + 1] for maps in drawn.features], places)
        masks.append(logits.mean(dim=0).argmax(dim=1).reshape(size, size))  # of [E, P, K]
        scores.append(picture_score(disagreement(logits).reshape(1, size, size)))
    return Labelled(
        pictures=to_uint8(drawn.picture),
        masks=torch.stack(masks).to(torch.uint8).cpu().numpy(),
        scores=torch.cat(scores).double().cpu().numpy(),
    )
