"""What an `apply` job leaves: pictures and masks, filmstrips of a sweep, what was pasted, its figures."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from gpu_ops.apply import Applied
from gpu_ops.filmstrip import filmstrip
from gpu_ops.photo import Edited
from gpu_ops.picture import Picture
from gpu_ops.refine import View
from storage.library_records import Kept, Model
from storage.photographs import pasted
from storage.vector_specs import ApplyPoint
from workers.attempt import Attempt, Saved
from workers.recipes.apply_task import ApplyTask
from workers.recipes.inversions import TUNED, Inverted, Search, kept_inversion
from workers.recipes.outputs import DELTA_W, Outputs
from workers.recipes.photographs import box_facts, photograph_at, save_pasted
from workers.recipes.points import inversion_facts, inversion_steps


@dataclass(frozen=True)
class Strip:
    """One point: its code, how that looks, and what became of it at each factor of the sweep."""

    point: ApplyPoint
    code: Inverted
    before: View
    applied: list[Applied]


def picture_name(row: int, column: int) -> str:
    return f"picture_{row:03d}_{column:02d}.png"


def save(attempt: Attempt, task: ApplyTask, strips: list[Strip]) -> Saved:
    outputs = task.outputs
    if len(strips) == 1 and strips[0].code.weights is not None:
        outputs.tensors(TUNED, strips[0].code.weights)
    if DELTA_W not in outputs:
        changes = [torch.cat([each.delta_w for each in strip.applied]) for strip in strips]
        outputs.tensor(DELTA_W, torch.stack(changes))  # [N, S, L, D]
    pictures = []
    for row, strip in enumerate(strips):
        _save_strip(outputs, task, strip, row)
        pictures.append(_told(task, strip, _paste(attempt, outputs, strip, row)))
    steps = inversion_steps({strip.point: strip.code for strip in strips}.values())
    steps += sum(each.steps for strip in strips for each in strip.applied)
    told = {"precision": task.bundle.precision, **_figures(task)}
    facts = outputs.facts(task.bundle, steps=steps, **told, inputs=pictures)
    outputs.json("provenance.json", outputs.provenance() | {"result": facts})
    return Saved(attempt.outputs, facts, _kept(attempt, task, strips))


def _kept(attempt: Attempt, task: ApplyTask, strips: list[Strip]) -> Kept:
    """The inversion of an only picture, which lies in the outputs as one."""
    given = [task.points[strip.point] for strip in strips]
    if len(given) != 1 or not isinstance(given[0], Search):
        return Kept()
    kept = kept_inversion(attempt, given[0], strips[0].code)
    shown = {
        "inverted": attempt.outputs["inverted_000.png"],
        "mask": attempt.outputs["inverted_mask_000.png"],
    }
    return Kept(inversions=tuple(replace(each, files=each.files | shown) for each in kept.inversions))


def _save_strip(outputs: Outputs, task: ApplyTask, strip: Strip, row: int) -> None:
    seed = strip.point.seed
    for column, applied in enumerate(strip.applied):
        if (name := picture_name(row, column)) not in outputs:
            outputs.picture(name, applied.picture, seed=seed)
        outputs.mask(f"mask_{row:03d}_{column:02d}.png", applied.mask, seed=seed)
    if len(strip.applied) > 1:
        pictures, masks = ([getattr(each, what) for each in strip.applied] for what in ("picture", "mask"))
        film = filmstrip(pictures, masks, _palette(task.model))
        outputs.picture(f"filmstrip_{row:03d}.png", film, seed=seed)


@dataclass(frozen=True)
class Pasted:
    """What the result says of pictures pasted back: of the input, and of each factor of the sweep."""

    of_input: dict[str, Any]
    of_factor: list[dict[str, Any]]


def _paste(attempt: Attempt, outputs: Outputs, strip: Strip, row: int) -> Pasted:
    """Every picture of one input into its photograph, which is read again: so one at a time is in memory."""
    photo = strip.point.photo
    if photo is None:
        return Pasted({}, [{}] * len(strip.applied))
    photograph = photograph_at(attempt, strip.point)
    told = [
        save_pasted(outputs, pasted(row, column), photograph, _shown(strip, applied), photo)
        for column, applied in enumerate(strip.applied)
    ]
    return Pasted(box_facts(photograph), told)


def _shown(strip: Strip, applied: Applied) -> Edited:
    before = strip.before
    return Edited(before.pictures[0], applied.picture, before.masks[0], applied.mask, applied.region)


def _palette(model: Model) -> Picture:
    colours = np.zeros((256, 3), np.uint8)
    for part in model.parts:
        colours[part.id] = part.colour
    return colours


def _figures(task: ApplyTask) -> dict[str, Any]:
    names = {part.id: part.name for part in task.model.parts}
    return {
        "q_edit": [names[part] for part in task.q_edit],
        "vectors": [
            {"id": each.vector.id, "name": each.vector.name, "strength": each.strength, "amount": each.amount}
            for each in task.chosen
        ],
    }


def _told(task: ApplyTask, strip: Strip, pasted: Pasted) -> dict[str, Any]:
    """What the result says of one input."""
    sweep = [
        {"factor": factor, "mode": each.way, "why": each.why, "steps": each.steps, **each.figures, **share}
        for factor, each, share in zip(task.spec.sweep, strip.applied, pasted.of_factor, strict=True)
    ]
    point = strip.point.model_dump(mode="json", exclude={"photo"}, exclude_none=True, exclude_defaults=True)
    inversion = inversion_facts(strip.code, task.spec.inverting)
    return {**point, **inversion, **pasted.of_input, "sweep": sweep}
