"""What an edit minimises: the losses of N codes, with all that stays constant computed once.

Source: Ling et al. 2021 (EditGAN), eqs. 1 to 5. Departures: a prior on delta_w keeps the edited code
among those that the generator was trained on (docs/decisions/), off with lambda_prior = 0; of eq. 4,
1 - cos is minimised. docs/method.md has all of it.
"""

import torch

from gpu_ops.bundle import Bundle
from gpu_ops.errors import MaskUnchangedError, ShapeError
from gpu_ops.losses import masked, region_cross_entropy, squared_error
from gpu_ops.picture import Picture
from gpu_ops.presets import EditWeights
from gpu_ops.reading import Places
from gpu_ops.roi import default_buffer_px, region_of_interest
from gpu_ops.stacked import Stacked


class EditObjective(Stacked):
    """The losses of one edit of N pictures, with all that stays constant computed once.

    target  [N, R, R] int64, the masks wanted; losses are [N]
    """

    STACKED = (
        "w_plus",
        "inverted",
        "mask_before",
        "target",
        "roi",
        "kept",
        "kept_features",
        "person",
        "factors",
    )

    def __init__(
        self,
        bundle: Bundle,
        w_plus: torch.Tensor,
        target: torch.Tensor,
        q_edit: tuple[int, ...],
        weights: EditWeights,
        buffer_px: int,
    ) -> None:
        self.bundle, self.w_plus = bundle, w_plus
        self.inverted, self.mask_before = bundle.draw(w_plus)  # [N, 3, R, R], [N, R, R]
        self.target = target
        self.roi = region_of_interest(self.mask_before, target, q_edit, buffer_px)  # [N, R, R]
        self.kept = masked(self.inverted, ~self.roi)
        with torch.no_grad():
            with bundle.stepping():
                self.kept_features = bundle.perceptual.features(self.kept)
            identity = bundle.identity if weights.identity > 0 else None
            self.person = None if identity is None else identity.embed(self.inverted)  # [N, E]
        self.factors = _factors(bundle, weights).to(w_plus).expand(len(w_plus), -1)  # [N, 6]
        self._restacked()

    def _restacked(self) -> None:
        self.outside = ~self.roi
        pixels = self.roi.flatten().nonzero()[:, 0]  # [P]
        self.item = pixels // self.roi[0].numel()  # [P]
        self.wanted = self.target.flatten()[pixels]  # [P]
        size = self.bundle.resolution_px
        if pixels.device.type != "cpu":
            self.places = [Places(pixels, size)]
        else:
            self.places = [Places(region.flatten().nonzero()[:, 0], size) for region in self.roi]
        self.count = self.roi.flatten(1).sum(dim=1)  # [N]

    @property
    def changes(self) -> torch.Tensor:
        """Which items ask for another part of any pixel in their region: bool [N]."""
        return ((self.mask_before != self.target) & self.roi).flatten(1).any(dim=1)

    def losses(self, delta_w: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Each loss [N], and the picture [N, 3, R, R], at delta_w [N, L, D]."""
        bundle = self.bundle
        of_lpips, of_squares, of_rgb, of_ce, of_prior, of_identity = self.factors.unbind(dim=1)  # [N] each
        with bundle.stepping():
            drawn = bundle.generator.synthesise(self.w_plus + delta_w)
            kept = masked(drawn.picture, self.outside)
            features = bundle.perceptual.features(kept)
            logits = self._logits(drawn.features).to(kept.dtype)
        lpips = bundle.perceptual.distance(features, self.kept_features)
        rgb = of_lpips * lpips + of_squares * squared_error(kept, self.kept)
        ce = region_cross_entropy(logits, self.wanted, self.item, self.count)
        prior = bundle.prior.penalty(delta_w)
        total = of_rgb * rgb + of_ce * ce + of_prior * prior
        each = {"rgb": rgb, "ce": ce, "prior": prior}
        if bundle.identity is not None and self.person is not None:
            each["identity"] = bundle.identity.distance(bundle.identity.embed(drawn.picture), self.person)
            total = total + of_identity * each["identity"]
        return {"total": total, **each}, drawn.picture

    def _logits(self, features: list[torch.Tensor]) -> torch.Tensor:
        """Of the region's pixels, those of one item after those of the other: [P, K].

        On a CPU one item at a time, whose hidden layers fit its cache better; elsewhere in one call.
        """
        segmenter = self.bundle.segmenter
        if len(self.places) == 1:
            return segmenter.logits_at(features, self.places[0])
        items = zip(*(maps.split(1) for maps in features), strict=True)
        each = zip(items, self.places, strict=True)
        return torch.cat([segmenter.logits_at(list(item), places) for item, places in each])


def _factors(bundle: Bundle, weights: EditWeights) -> torch.Tensor:
    """What each loss is multiplied by, in the order that `losses` reads them: float64 [6]."""
    factor = bundle.perceptual.edit_factor if weights.factored else 1.0
    rgb = weights.rgb * factor
    each = (weights.lpips, weights.squares, rgb, weights.ce, weights.prior, weights.identity)
    return torch.tensor(each, dtype=torch.float64)


class Shared:
    """An objective of which one vector [1, L, D] is to serve all items."""

    def __init__(self, objective: EditObjective) -> None:
        self.objective = objective

    def losses(self, delta_w: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """The mean of each loss [1], and the pictures [N, 3, R, R], at delta_w [1, L, D]."""
        losses, drawn = self.objective.losses(delta_w.expand_as(self.objective.w_plus))
        return {name: value.mean(dim=0, keepdim=True) for name, value in losses.items()}, drawn


def objective_of(
    bundle: Bundle,
    w_plus: torch.Tensor,
    target_masks: Picture,
    q_edit: tuple[int, ...],
    weights: EditWeights,
    buffer_px: int | None,
) -> EditObjective:
    """The objective of an edit, its inputs checked: as `edit` takes them. Raises ShapeError."""
    _check(bundle, w_plus, target_masks)
    target = torch.from_numpy(target_masks).to(bundle.device).long()
    buffer = default_buffer_px(bundle.resolution_px) if buffer_px is None else buffer_px
    return EditObjective(bundle, w_plus, target, q_edit, weights, buffer)


def refuse_unchanged(objective: EditObjective) -> None:
    """Raises MaskUnchangedError where an item's mask asks for nothing."""
    if not bool(objective.changes.all()):
        raise MaskUnchangedError("the mask asked for is what the picture has there already")


def check_codes(bundle: Bundle, w_plus: torch.Tensor) -> None:
    """Raises ShapeError where w_plus is not [N, L, D] of the model."""
    code = (bundle.generator.num_ws, bundle.generator.config.w_dim)
    if w_plus.dim() != 3 or w_plus.shape[1:] != code:
        raise ShapeError(f"w_plus is {list(w_plus.shape)}, the model takes {['N', *code]}")


def _check(bundle: Bundle, w_plus: torch.Tensor, target_masks: Picture) -> None:
    check_codes(bundle, w_plus)
    shape = (len(w_plus), bundle.resolution_px, bundle.resolution_px)
    if target_masks.shape != shape:
        raise ShapeError(f"masks are {list(target_masks.shape)}, expected {list(shape)}")
    if int(target_masks.max()) >= len(bundle.parts):
        raise ShapeError(f"part ids must be below {len(bundle.parts)}, found {int(target_masks.max())}")
