"""train_segmenter: a model's parts, learned from a handful of annotated pictures."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from gpu_ops.bundle import Bundle
from gpu_ops.metrics import part_ious
from gpu_ops.picture import Picture, to_uint8
from gpu_ops.progress import State, Steps
from gpu_ops.sample import seeded_code
from gpu_ops.segmenter import Segmenter
from gpu_ops.stages import resumed, stage
from gpu_ops.training.annotate import invert_all
from gpu_ops.training.segmenter import folds, segmenter_for, train_segmenter
from gpu_ops.training.tensors import network_state, restore_network
from gpu_ops.uncertainty import picture_score, uncertainty
from storage.annotations import default_min_piece_px, fitted, groups_of, parts_of, without_small_pieces
from storage.decoders import decode_mask
from storage.library_records import Kept, Model, Part
from storage.training_specs import TrainSegmenterSpec
from workers.attempt import Attempt, Saved
from workers.recipe import Recipe
from workers.recipes.inputs import find_model, read_picture
from workers.recipes.new_model import files_of, new_model, put_network
from workers.recipes.outputs import W_PLUS, Outputs

INVERT, TRAIN, FOLD, TRAINED, HELD = "invert", "train", "fold", "trained", "held"
TRAINED_STEPS = "trained_steps"
CHUNKS = {"cpu": 8, "cuda": 16}
"""Pictures inverted at a time, at most."""


@dataclass(frozen=True)
class SegmenterTask:
    """pictures uint8 [n, R, R, 3], of the annotations that are uploads, in order; masks uint8 [N, R, R]."""

    spec: TrainSegmenterSpec
    model: Model
    bundle: Bundle
    parts: tuple[Part, ...]
    pictures: Picture
    masks: Picture
    chunk: int

    @property
    def inversion_steps(self) -> int:
        return self.spec.inversion_steps * math.ceil(len(self.pictures) / self.chunk)

    @property
    def total(self) -> int:
        return self.inversion_steps + self.spec.steps * (1 + self.spec.folds)


@dataclass(frozen=True)
class HeldOut:
    """What segmenters that never saw a picture say of it: masks uint8 and unsure float32 [N, R, R], in nats.

    folds  how many were trained to their end; the rows of the others' pictures are 0
    """

    masks: torch.Tensor
    unsure: torch.Tensor
    folds: int

    def carried(self) -> State:
        return {
            f"{HELD}.masks": self.masks,
            f"{HELD}.unsure": self.unsure,
            f"{HELD}.folds": torch.tensor(self.folds),
        }


@dataclass(frozen=True)
class Learned:
    """w_plus float32 [N, L, D], of the annotated pictures; steps: of the segmenter's own training."""

    segmenter: Segmenter
    w_plus: torch.Tensor
    held: HeldOut
    steps: int


def _load(attempt: Attempt) -> SegmenterTask:
    spec, model = attempt.spec, find_model(attempt)
    assert isinstance(spec, TrainSegmenterSpec)
    parts, size = parts_of(spec, model), model.resolution_px
    uploads = [each.image for each in spec.annotations if each.image is not None]
    pictures = [read_picture(attempt, image_id, size) for image_id in uploads]
    bundle = attempt.models.bundle(model)
    return SegmenterTask(
        spec,
        model,
        bundle,
        parts,
        np.stack(pictures) if pictures else np.zeros((0, size, size, 3), np.uint8),
        np.stack([_mask(attempt, spec, index, model, parts) for index in range(len(spec.annotations))]),
        chunk=attempt.tensor_batch(CHUNKS[bundle.device.type]),
    )


def _mask(
    attempt: Attempt, spec: TrainSegmenterSpec, index: int, model: Model, parts: tuple[Part, ...]
) -> Picture:
    annotation, library = spec.annotations[index], attempt.stores.library
    image = library.get_image(attempt.job.tenant_id, annotation.mask)
    picture_px = None
    if annotation.image is not None:
        shown = library.get_image(attempt.job.tenant_id, annotation.image)
        picture_px = (shown.width_px, shown.height_px)
    mask = decode_mask(attempt.stores.objects.get(image.object))
    field = f"annotations.{index}.mask"
    mask = fitted(mask, model.resolution_px, parts, field=field, picture_px=picture_px)
    smallest = spec.min_piece_px
    return without_small_pieces(
        mask, default_min_piece_px(model.resolution_px) if smallest is None else smallest
    )


def _operate(task: SegmenterTask, resume: State | None) -> Steps[Learned]:
    spec, generator = task.spec, task.bundle.generator
    w_plus = yield from _codes(task, resume)
    carry: State = {"w_plus": w_plus.cpu()}
    segmenter = segmenter_for(generator, len(task.parts), classifiers=spec.classifiers, seed=spec.seed)
    if resume is not None and TRAINED_STEPS in resume:
        restore_network(segmenter, resume, TRAINED)
        segmenter.requires_grad_(False).eval()
        steps = int(resume[TRAINED_STEPS])
    else:
        run = train_segmenter(
            segmenter,
            generator,
            w_plus,
            task.masks,
            steps=spec.steps,
            seed=spec.seed,
            resume=resumed(TRAIN, resume),
        )
        steps = yield from stage(TRAIN, run, done=task.inversion_steps, total=task.total, carry=carry)
    carry |= network_state(segmenter, TRAINED) | {TRAINED_STEPS: torch.tensor(steps)}
    held = _restored(task, resume)
    if steps == spec.steps:  # told to stop before, it measures nothing
        held = yield from _hold_out(task, w_plus, held, carry, resume)
    return Learned(segmenter, w_plus, held, steps)


def _codes(task: SegmenterTask, resume: State | None) -> Steps[torch.Tensor]:
    """The code of each annotation [N, L, D]: a sample's own, an upload's by inversion."""
    if resume is not None and "w_plus" in resume:
        return resume["w_plus"].to(task.bundle.device)
    found: Iterator[torch.Tensor] = iter(())
    if len(task.pictures):
        run = invert_all(
            task.bundle,
            task.pictures,
            steps=task.spec.inversion_steps,
            chunk=task.chunk,
            resume=resumed(INVERT, resume),
        )
        inverted = yield from stage(INVERT, run, done=0, total=task.total)
        found = iter(inverted.w_plus)
    return torch.stack(
        [
            next(found)
            if each.seed is None
            else seeded_code(task.bundle, each.seed, each.truncation_psi)[0].to(task.bundle.device)
            for each in task.spec.annotations
        ]
    )


def _restored(task: SegmenterTask, resume: State | None) -> HeldOut:
    if resume is not None and f"{HELD}.folds" in resume:
        own = resumed(HELD, resume) or {}
        return HeldOut(own["masks"], own["unsure"], int(own["folds"]))
    shape = task.masks.shape
    return HeldOut(torch.zeros(shape, dtype=torch.uint8), torch.zeros(shape), 0)


def _hold_out(
    task: SegmenterTask, w_plus: torch.Tensor, held: HeldOut, carry: State, resume: State | None
) -> Steps[HeldOut]:
    """Train on all but a fold's pictures, with the same steps, and ask about those; fold by fold."""
    spec, generator = task.spec, task.bundle.generator
    dealt = folds(len(w_plus), spec.folds, spec.seed) if spec.folds else []
    for number in range(held.folds, len(dealt)):
        out = dealt[number]
        others = [index for index in range(len(w_plus)) if index not in out]
        seed = spec.seed + 1 + number
        segmenter = segmenter_for(generator, len(task.parts), classifiers=spec.classifiers, seed=seed)
        name = f"{FOLD}{number}"
        run = train_segmenter(
            segmenter,
            generator,
            w_plus[others],
            task.masks[others],
            steps=spec.steps,
            seed=seed,
            resume=resumed(name, resume),
        )
        done = task.inversion_steps + spec.steps * (1 + number)
        steps = yield from stage(name, run, done=done, total=task.total, carry=carry | held.carried())
        if steps < spec.steps:
            break
        masks, unsure = held.masks.clone(), held.unsure.clone()
        for index in out:
            with torch.no_grad():
                features = generator.synthesise(w_plus[index : index + 1]).features
            masks[index] = segmenter.predict(features)[0].to(torch.uint8).cpu()
            unsure[index] = uncertainty(segmenter, features)[0].float().cpu()
        held = HeldOut(masks, unsure, number + 1)
    return held


def _save(attempt: Attempt, task: SegmenterTask, learned: Learned) -> Saved:
    spec = task.spec
    measured, figures = _figures(task, learned)
    segmenter = put_network(attempt, "segmenter", learned.segmenter, learned.segmenter.config.as_dict())
    same = [part.name for part in task.parts] == [part.name for part in task.model.parts]
    model = new_model(
        attempt,
        spec.name,
        task.model,
        files_of(task.model, without=() if same else ("judge",)) | {"segmenter": segmenter},
        resolution_px=task.model.resolution_px,
        parts=task.parts,
        groups=groups_of(spec, task.model),
        card={**_complete(task.model.card), "annotations": len(spec.annotations), "miou": figures["miou"]},
    )
    outputs = Outputs(attempt, replace(task.model, parts=task.parts))
    for index, code in enumerate(learned.w_plus):
        drawn = to_uint8(task.bundle.draw(code[None])[0])[0]
        outputs.picture(f"picture_{index:03d}.png", drawn)
        outputs.mask(f"mask_{index:03d}.png", task.masks[index])
        if index in measured:
            outputs.mask(f"predicted_{index:03d}.png", learned.held.masks[index].numpy())
            outputs.picture(f"uncertainty_{index:03d}.png", shade(learned.held.unsure[index].numpy()))
    outputs.tensor(W_PLUS, learned.w_plus)
    facts = outputs.facts(
        task.bundle, steps=learned.steps, new_model=model.name, new_model_digest=model.digest, **figures
    )
    outputs.json("provenance.json", outputs.provenance() | {"result": facts})
    return Saved(attempt.outputs, facts, Kept(models=(model,)))


def _complete(card: dict[str, Any]) -> dict[str, Any]:
    """A card without what the model needed before."""
    return {name: value for name, value in card.items() if name != "needs"}


def _figures(task: SegmenterTask, learned: Learned) -> tuple[list[int], dict[str, Any]]:
    """Which annotations were held out, and how well they were told; IoU over all their pixels together."""
    held, spec = learned.held, task.spec
    dealt = folds(len(task.masks), spec.folds, spec.seed)[: held.folds] if held.folds else []
    measured = sorted(index for fold in dealt for index in fold)
    if not measured:
        return [], {"folds": 0, "miou": None}
    exact, found = task.masks[measured], held.masks[measured].numpy()
    scores = part_ious(found, exact, len(task.parts))
    shown = {part.name: round(float(score), 4) for part, score in zip(task.parts, scores, strict=True)}
    return measured, {
        "folds": held.folds,
        "held_out": len(measured),
        "miou": float(np.nanmean(scores)),
        "iou": {name: score if math.isfinite(score) else None for name, score in shown.items()},
        "pixel_accuracy": float((found == exact).mean()),
        "uncertainty": dict(
            zip(map(str, measured), picture_score(held.unsure[measured]).tolist(), strict=True)
        ),
    }


def shade(unsure: np.ndarray[Any, np.dtype[np.float32]]) -> Picture:
    """Uncertainty [H, W] in nats as grey [H, W, 3]: white from ln 2 on, where two halves contradict."""
    grey = np.clip(unsure / math.log(2) * 255, 0, 255).round().astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


RECIPE = Recipe(_load, _operate, _save)
