"""edit: a picture changed by its part mask; an uploaded picture is inverted first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gpu_ops.bundle import Bundle
from gpu_ops.edit import EditResult, edit
from gpu_ops.invert import invert
from gpu_ops.picture import Picture
from gpu_ops.progress import State, Steps
from storage.errors import MaskUnchanged
from storage.mask_operations import apply_operations, copied_masks, edited_parts
from storage.records import Model
from storage.specs import EditSpec
from workers.attempt import Attempt, Saved
from workers.recipe import Recipe
from workers.recipes.inputs import find_model, read_mask, read_picture
from workers.recipes.inversions import read_code
from workers.recipes.outputs import DELTA_W, W_PLUS, Outputs
from workers.recipes.stages import resumed, stage
from workers.recipes.weighing import losses_of

INVERT, EDIT = "invert", "edit"
DIFFERENCE_GAIN = 3


@dataclass(frozen=True)
class EditTask:
    """Either picture uint8 [R, R, 3] or w_plus [1, L, D]; mask uint8 [R, R] where one was uploaded.

    copied holds the masks that operations copy from, by image id.
    """

    spec: EditSpec
    model: Model
    bundle: Bundle
    picture: Picture | None
    w_plus: torch.Tensor | None
    mask: Picture | None
    copied: Mapping[str, Picture]


@dataclass(frozen=True)
class Start:
    """The code to edit [1, L, D]; of a picture that was inverted for it, how well and in how many steps."""

    w_plus: torch.Tensor
    psnr_db: float | None = None
    steps: int = 0

    def carried(self) -> State:
        """What later checkpoints carry so that it is not looked for again."""
        if self.psnr_db is None:
            return {}
        psnr_db = torch.tensor(self.psnr_db, dtype=torch.float64)  # to the same bits
        return {"w_plus": self.w_plus.cpu(), "psnr_db": psnr_db, "inversion_steps": torch.tensor(self.steps)}


@dataclass(frozen=True)
class EditOutcome:
    start: Start
    target: Picture
    q_edit: tuple[int, ...]
    edited: EditResult


def _load(attempt: Attempt) -> EditTask:
    spec, model = attempt.spec, find_model(attempt)
    assert isinstance(spec, EditSpec)
    return EditTask(
        spec=spec,
        model=model,
        bundle=attempt.models.bundle(model),
        picture=read_picture(attempt, spec.image, model.resolution_px) if spec.image else None,
        w_plus=read_code(attempt, spec.inversion, model).w_plus if spec.inversion else None,
        mask=read_mask(attempt, spec.mask, model) if spec.mask else None,
        copied={
            image_id: read_mask(attempt, image_id, model, field=field)
            for image_id, field in copied_masks(spec.mask_operations).items()
        },
    )


def _operate(task: EditTask, resume: State | None) -> Steps[EditOutcome]:
    spec, bundle = task.spec, task.bundle
    first = spec.inversion_steps if task.picture is not None else 0
    start = yield from _find_code(task, resume, total=first + spec.steps)
    w_plus = start.w_plus.to(bundle.device)
    mask = bundle.draw(w_plus)[1][0].to(torch.uint8).cpu().numpy()
    target, q_edit = _target(task, mask)
    steps = edit(
        bundle,
        w_plus,
        target[None],
        q_edit,
        **losses_of(spec),
        resume=resumed(EDIT, resume),
    )
    edited = yield from stage(EDIT, steps, done=first, total=first + spec.steps, carry=start.carried())
    return EditOutcome(start, target, q_edit, edited)


def _find_code(task: EditTask, resume: State | None, *, total: int) -> Steps[Start]:
    """Where the edit starts: the code given, that of a checkpoint, or the picture's."""
    if task.w_plus is not None:
        return Start(task.w_plus)
    if resume is not None and "w_plus" in resume:
        steps_done = resume.get("inversion_steps", torch.tensor(task.spec.inversion_steps))
        return Start(resume["w_plus"], float(resume["psnr_db"]), int(steps_done))
    assert task.picture is not None
    steps = invert(
        task.bundle, task.picture[None], steps=task.spec.inversion_steps, resume=resumed(INVERT, resume)
    )
    inverted = yield from stage(INVERT, steps, done=0, total=total)
    return Start(inverted.w_plus, inverted.psnr_db[0], inverted.steps)


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
    if task.picture is not None:
        outputs.picture("input.png", task.picture)
    outputs.picture("inverted.png", edited.inverted[0])
    outputs.mask("mask.png", edited.masks_before[0])
    outputs.mask("target_mask.png", outcome.target)
    outputs.picture("edited.png", edited.pictures[0])
    outputs.mask("edited_mask.png", edited.masks[0])
    outputs.picture("difference.png", _difference(edited.inverted[0], edited.pictures[0]))
    outputs.tensor(W_PLUS, outcome.start.w_plus)
    outputs.tensor(DELTA_W, edited.delta_w)
    facts = outputs.facts(task.bundle, steps=edited.steps, **_figures(task, outcome))
    outputs.json("provenance.json", outputs.provenance() | {"result": facts})
    return Saved(attempt.outputs, facts)


def _figures(task: EditTask, outcome: EditOutcome) -> dict[str, Any]:
    names = {part.id: part.name for part in task.model.parts}
    figures = outcome.edited.metrics[0] | {"q_edit": [names[part] for part in outcome.q_edit]}
    if task.picture is not None:
        figures["inversion_steps"] = outcome.start.steps
        figures["inversion_psnr_db"] = outcome.start.psnr_db
    return figures


def _difference(before: Picture, after: Picture) -> Picture:
    """Where the pictures differ, DIFFERENCE_GAIN times as strong as they do."""
    difference = np.abs(after.astype(np.int16) - before.astype(np.int16)) * DIFFERENCE_GAIN
    shown: Picture = np.minimum(difference, 255).astype(np.uint8)
    return shown


RECIPE = Recipe(_load, _operate, _save)
