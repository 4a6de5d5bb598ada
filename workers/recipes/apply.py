"""apply: vectors of the library applied to pictures, inversions and samples, once or in a sweep."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from safetensors.torch import load

from gpu_ops.apply import Applied, Optimised, Plan, apply
from gpu_ops.bundle import Bundle
from gpu_ops.filmstrip import filmstrip
from gpu_ops.photo import Edited
from gpu_ops.picture import Picture
from gpu_ops.progress import State, Steps
from gpu_ops.refine import Unmasked, View, draw
from gpu_ops.vectors import Use, combine
from storage.amounts import strength_for
from storage.errors import InvalidInput
from storage.library_records import Kept, Model, Vector
from storage.masks import resolve_parts
from storage.photographs import check_pasted, pasted
from storage.vector_specs import REFINE_STEPS, ApplyPoint, ApplySpec, VectorUse
from workers.aside import aside
from workers.attempt import Attempt, Saved
from workers.models import core_is_free
from workers.recipe import Recipe
from workers.recipes.apply_together import BEFORE, Place, draw_together
from workers.recipes.course import Course
from workers.recipes.inputs import find_model
from workers.recipes.inversions import TUNED, Inverted, Search, kept_inversion
from workers.recipes.outputs import DELTA_W, W_PLUS, Outputs
from workers.recipes.photographs import box_facts, photograph_at, save_pasted
from workers.recipes.points import (
    Points,
    find_codes,
    inversion_facts,
    inversion_steps,
    read_points,
    steps_to_find,
)
from workers.recipes.views import view_of


@dataclass(frozen=True)
class Chosen:
    """A vector to apply: its record, delta_w [L, D], and the strength given, or that of an amount given."""

    vector: Vector
    delta_w: torch.Tensor
    strength: float
    amount: str | None


@dataclass(frozen=True)
class ApplyTask:
    """q_edit: part ids that the vectors are about, together; none where one of them does not say.
    outputs: where what it makes goes. core_free: whether two pictures may be drawn side by side.
    views: what was drawn already, together with others'."""

    spec: ApplySpec
    model: Model
    bundle: Bundle
    points: Points
    chosen: tuple[Chosen, ...]
    q_edit: tuple[int, ...]
    plan: Plan
    outputs: Outputs
    core_free: bool = False
    views: dict[Place, View] = field(default_factory=dict)

    def change(self, column: int, w_plus: torch.Tensor) -> torch.Tensor | None:
        """The vectors' sum [L, D] at one factor of the sweep, for codes like w_plus; None where it is 0."""
        factor = self.spec.sweep[column]
        uses = [Use(each.delta_w, factor * each.strength, each.vector.id) for each in self.chosen]
        return combine(uses, w_plus)


@dataclass(frozen=True)
class Strip:
    """One point: its code, how that looks, and what became of it at each factor of the sweep."""

    point: ApplyPoint
    code: Inverted
    before: View
    applied: list[Applied]


def _load(attempt: Attempt) -> ApplyTask:
    spec, model = attempt.spec, find_model(attempt)
    assert isinstance(spec, ApplySpec)
    for name, point in zip(spec.fields, spec.points, strict=True):
        check_pasted(point, attempt.job.tenant_id, attempt.stores, f"{name}photo")
    bundle = attempt.models.bundle(model)
    chosen = tuple(read_vector(attempt, use, model, index) for index, use in enumerate(spec.vectors))
    named = [each.vector.q_edit for each in chosen]
    names = [name for parts in named for name in parts] if all(named) else []
    q_edit = resolve_parts(names, model.parts, model.groups, field="vectors")
    points = read_points(attempt, spec.points, model, bundle, steps=spec.inversion_steps, how=spec.inverting)
    outputs = Outputs(attempt, model, vectors=[each.vector.id for each in chosen])
    free = core_is_free(attempt.models.settings, bundle.device.type, model.resolution_px)
    return ApplyTask(spec, model, bundle, points, chosen, q_edit, plan_of(spec, chosen), outputs, free)


def read_vector(attempt: Attempt, use: VectorUse, model: Model, index: int) -> Chosen:
    vector = attempt.stores.library.get_vector(attempt.job.tenant_id, use.vector)
    if not vector.fits(model):
        detail = f"Vector {vector.id} was learned on another generator."
        raise InvalidInput(detail, field=f"vectors.{index}.vector")
    delta_w = load(attempt.stores.objects.get(vector.files["delta_w"]))["delta_w"]
    strength = 1.0 if use.strength is None else use.strength
    if use.amount is not None:
        strength = strength_for(use.amount, vector.report, field=f"vectors.{index}.amount")
    return Chosen(vector, delta_w, strength, use.amount)


def plan_of(spec: ApplySpec, chosen: tuple[Chosen, ...]) -> Plan:
    """Of several vectors' reports, the one that promises least of refinement counts."""
    told = [each.vector.report.get("refinement", {}).get("gain_db") for each in chosen]
    gains = [gain for gain in told if gain is not None]
    return Plan(
        mode=spec.way,
        refine_steps=spec.refine_steps or REFINE_STEPS,
        steps=spec.steps,
        lr=spec.lr,
        buffer_px=spec.buffer_px,
        gain_db=min(gains) if gains else None,
    )


def _operate(task: ApplyTask, resume: State | None) -> Steps[list[Strip]]:
    spec, bundle = task.spec, task.bundle
    found = steps_to_find(task.points)
    course = Course(found + len(spec.points) * len(spec.sweep) * task.plan.most_steps, resume)
    codes = yield from find_codes(course, task.points, bundle)
    task.outputs.tensor(W_PLUS, torch.cat([codes[point].w_plus for point in spec.points]))
    if task.plan.mode == "vector":  # what is to come is known
        task.outputs.tensor(DELTA_W, torch.stack([_sums(task, codes[point].w_plus) for point in spec.points]))
    strips = []
    for row, point in enumerate(spec.points):
        code, applied = codes[point], []
        before = _looked_at(task, row, code)
        for column in range(len(spec.sweep)):
            applied.append((yield from _apply(task, course, code, before, row, column)))
        strips.append(Strip(point, code, before(), applied))
    return strips


def _sums(task: ApplyTask, w_plus: torch.Tensor) -> torch.Tensor:
    """The vectors' sum at each factor of the sweep: [S, L, D]."""
    sums = [task.change(column, w_plus) for column in range(len(task.spec.sweep))]
    return torch.stack([torch.zeros_like(w_plus[0]) if each is None else each for each in sums])


def _looked_at(task: ApplyTask, row: int, code: Inverted) -> Callable[[], View]:
    """How a point looks, which nothing waits for but what is compared with it."""
    known, seed = task.views.get((row, BEFORE)), task.spec.points[row].seed
    before = aside(lambda: known or view_of(task.model, task.bundle, code), free=task.core_free)
    task.outputs.picture(f"inverted_{row:03d}.png", lambda: before().pictures[0], seed=seed)
    task.outputs.mask(f"inverted_mask_{row:03d}.png", lambda: before().masks[0], seed=seed)
    return before


def _apply(
    task: ApplyTask, course: Course, code: Inverted, before: Callable[[], View], row: int, column: int
) -> Steps[Applied]:
    """One point at one factor of the sweep."""
    name, steps_name = f"apply_{row}_{column}", f"steps_{row}_{column}"
    most, w_plus = task.plan.most_steps, code.w_plus
    known, steps = course.known(name), course.known(steps_name)
    found = None
    if known is not None and steps is not None:
        found = Optimised(known.to(w_plus), int(steps))
    run = apply(
        code.bundle(task.bundle),
        w_plus,
        task.change(column, w_plus),
        task.q_edit,
        task.plan,
        before=before,
        drawn=_drawn(task, code, row, column),
        applied=task.views.get((row, column)),
        found=found,
        resume=course.resumed(name),
    )
    applied = yield from course.run(name, run, most)
    done = applied.optimised or Optimised(applied.delta_w, 0)
    course.keep(name, done.delta_w)
    course.keep(steps_name, torch.tensor(done.steps))
    return applied


def _drawn(task: ApplyTask, code: Inverted, row: int, column: int) -> Unmasked | None:
    """The picture with the vectors, where that is all there is to be drawn: written while it is looked at."""
    change = task.change(column, code.w_plus)
    if task.plan.mode != "vector" or change is None or (row, column) in task.views:
        return None
    drawn = draw(code.bundle(task.bundle), code.w_plus + change.to(code.w_plus))
    task.outputs.picture(_picture(row, column), drawn.pictures[0], seed=task.spec.points[row].seed)
    return drawn


def _picture(row: int, column: int) -> str:
    return f"picture_{row:03d}_{column:02d}.png"


def _save(attempt: Attempt, task: ApplyTask, strips: list[Strip]) -> Saved:
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
    facts = outputs.facts(task.bundle, steps=steps, **_figures(task), inputs=pictures)
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
        if (name := _picture(row, column)) not in outputs:
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


RECIPE = Recipe(_load, _operate, _save, draw_together)
