"""edit: a picture changed by its part mask; an uploaded picture is inverted first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gpu_ops.bundle import Bundle
from gpu_ops.edit import EditResult, edit
from gpu_ops.photo import Edited
from gpu_ops.picture import Picture
from gpu_ops.progress import State, Steps
from gpu_ops.roi import default_buffer_px, region_of_interest
from storage.errors import MaskUnchanged
from storage.library_records import Model
from storage.mask_operations import apply_operations, copied_masks, edited_parts
from storage.photographs import PASTED
from storage.specs import EditSpec
from workers.attempt import Attempt, Saved
from workers.recipe import Recipe
from workers.recipes.course import Course
from workers.recipes.inputs import find_model, read_mask
from workers.recipes.inversions import (
    Inverted,
    Search,
    find_code,
    kept_inversion,
    read_code,
    save_code,
    search_for,
)
from workers.recipes.outputs import DELTA_W, Outputs
from workers.recipes.photographs import (
    Photograph,
    box_facts,
    photograph_of,
    read_photograph,
    save_pasted,
)
from workers.recipes.weighing import losses_of

EDIT = "edit"
DIFFERENCE_GAIN = 3


@dataclass(frozen=True)
class EditTask:
    """start: a picture to look for the code of, or a code; mask uint8 [R, R] where one was uploaded.

    photograph  the full-resolution original, where the start has one that is asked for
    copied      the masks that operations copy from, by image id
    """

    spec: EditSpec
    model: Model
    bundle: Bundle
    start: Search | Inverted
    photograph: Photograph | None
    mask: Picture | None
    copied: Mapping[str, Picture]


@dataclass(frozen=True)
class EditOutcome:
    start: Inverted
    target: Picture
    q_edit: tuple[int, ...]
    edited: EditResult


def _load(attempt: Attempt) -> EditTask:
    spec, model = attempt.spec, find_model(attempt)
    assert isinstance(spec, EditSpec)
    bundle = attempt.models.bundle(model)
    photograph = _read_photograph(attempt, spec)
    return EditTask(
        spec=spec,
        model=model,
        bundle=bundle,
        start=_read_start(attempt, spec, model, bundle, photograph),
        photograph=photograph,
        mask=read_mask(attempt, spec.mask, model) if spec.mask else None,
        copied={
            image_id: read_mask(attempt, image_id, model, field=field)
            for image_id, field in copied_masks(spec.mask_operations).items()
        },
    )


def _read_photograph(attempt: Attempt, spec: EditSpec) -> Photograph | None:
    if spec.image is not None:
        return read_photograph(attempt, spec.image, spec.photo.box if spec.photo else None)
    assert spec.inversion is not None
    return photograph_of(attempt, spec.inversion) if spec.photo is not None else None


def _read_start(
    attempt: Attempt, spec: EditSpec, model: Model, bundle: Bundle, photograph: Photograph | None
) -> Search | Inverted:
    if spec.inversion is not None:
        return read_code(attempt, spec.inversion, model)
    assert photograph is not None
    return search_for(attempt, model, bundle, photograph, spec.inversion_steps, spec.inverting)


def _operate(task: EditTask, resume: State | None) -> Steps[EditOutcome]:
    spec, start = task.spec, task.start
    if isinstance(start, Search):
        course = Course(start.most + spec.steps, resume)
        start = yield from find_code(course, start, task.bundle)
    else:
        course = Course(spec.steps, resume)
    bundle, w_plus = start.bundle(task.bundle), start.w_plus.to(task.bundle.device)
    mask = bundle.draw(w_plus)[1][0].to(torch.uint8).cpu().numpy()
    target, q_edit = _target(task, mask)
    steps = edit(bundle, w_plus, target[None], q_edit, **losses_of(spec), resume=course.resumed(EDIT))
    edited = yield from course.run(EDIT, steps, spec.steps)
    return EditOutcome(start, target, q_edit, edited)


def _target(task: EditTask, mask: Picture) -> tuple[Picture, tuple[int, ...]]:
    """The mask wanted [R, R] and the parts that the edit is about. Raises MaskUnchanged."""
    parts, groups = task.model.parts, task.model.groups
    target = task.mask
    if target is None:
        target = apply_operations(mask, task.spec.mask_operations, parts, groups, task.copied)
    if np.array_equal(target, mask):
        raise MaskUnchanged("The mask asked for is the mask that is there already.", field="mask")
    return target, edited_parts(task.spec, mask, target, parts, groups)


def _save(attempt: Attempt, task: EditTask, outcome: EditOutcome) -> Saved:
    outputs, edited = Outputs(attempt, task.model), outcome.edited
    if isinstance(task.start, Search):
        outputs.picture("input.png", task.start.picture)
    outputs.picture("inverted.png", edited.inverted[0])
    outputs.mask("mask.png", edited.masks_before[0])
    outputs.mask("target_mask.png", outcome.target)
    outputs.picture("edited.png", edited.pictures[0])
    outputs.mask("edited_mask.png", edited.masks[0])
    outputs.picture("difference.png", _difference(edited.inverted[0], edited.pictures[0]))
    save_code(outputs, outcome.start)
    outputs.tensor(DELTA_W, edited.delta_w)
    figures = _figures(task, outcome)
    if task.photograph is not None and task.spec.photo is not None:
        shown = _shown(task, outcome)
        figures |= save_pasted(outputs, PASTED, task.photograph, shown, task.spec.photo)
    facts = outputs.facts(task.bundle, steps=edited.steps, precision=task.bundle.precision, **figures)
    outputs.json("provenance.json", outputs.provenance() | {"result": facts})
    search = task.start if isinstance(task.start, Search) else None
    return Saved(attempt.outputs, facts, kept_inversion(attempt, search, outcome.start))


def _figures(task: EditTask, outcome: EditOutcome) -> dict[str, Any]:
    names = {part.id: part.name for part in task.model.parts}
    figures = outcome.edited.metrics[0] | {"q_edit": [names[part] for part in outcome.q_edit]}
    if isinstance(task.start, Search):
        found = outcome.start
        figures |= {f"inversion_{name}": found.facts[name] for name in ("steps", "psnr_db", "start")}
        figures |= found.told(task.spec.inverting)
    return figures | (box_facts(task.photograph) if task.photograph is not None else {})


def _shown(task: EditTask, outcome: EditOutcome) -> Edited:
    """The edit as it is to be pasted: only the region that it was about may change."""
    edited, buffer_px = outcome.edited, task.spec.buffer_px
    if buffer_px is None:
        buffer_px = default_buffer_px(task.bundle.resolution_px)
    old, new = (torch.from_numpy(mask)[None].long() for mask in (edited.masks_before[0], outcome.target))
    region = region_of_interest(old, new, outcome.q_edit, buffer_px)[0].numpy()
    return Edited(edited.inverted[0], edited.pictures[0], edited.masks_before[0], edited.masks[0], region)


def _difference(before: Picture, after: Picture) -> Picture:
    """Where the pictures differ, DIFFERENCE_GAIN times as strong as they do."""
    difference = np.abs(after.astype(np.int16) - before.astype(np.int16)) * DIFFERENCE_GAIN
    shown: Picture = np.minimum(difference, 255).astype(np.uint8)
    return shown


RECIPE = Recipe(_load, _operate, _save)
