"""learn_vector: editing vectors, each with its example and its transfer report, kept in the library."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from gpu_ops.change import editing_type, measure_of
from gpu_ops.edit import EditResult, edit
from gpu_ops.learn import Example, from_pairs, parts_that_changed, seen_change, show, what_changed
from gpu_ops.picture import Picture
from gpu_ops.progress import State, Steps
from gpu_ops.refine import look
from gpu_ops.sample import seeded_code
from gpu_ops.score import score_edit
from gpu_ops.transfer import REFINE_STEPS, STRENGTHS, TRUNCATION_PSI, Trial, refined_gain, transfer
from gpu_ops.transfer_report import report
from storage.errors import MaskUnchanged
from storage.mask_operations import apply_operations, copied_masks, edited_parts
from storage.masks import resolve_parts
from storage.records import new_id
from storage.vector_specs import LearnVectorSpec, OnePoint, Target
from workers.attempt import Attempt
from workers.recipe import Recipe
from workers.recipes.course import Course
from workers.recipes.inputs import find_model, read_mask
from workers.recipes.inversions import Inverted
from workers.recipes.learned import Learned, LearnOutcome, LearnTask, save_learned
from workers.recipes.points import find_codes, read_points, steps_to_find
from workers.recipes.weighing import losses_of

Codes = Mapping[OnePoint, Inverted]
LEARN_SEED = 2_000_000  # of samples to learn on: none of a transfer report's
MOST_TRIES = 4  # for each of them


def _load(attempt: Attempt) -> LearnTask:
    spec, model = attempt.spec, find_model(attempt)
    assert isinstance(spec, LearnVectorSpec)
    bundle = attempt.models.bundle(model)
    masks = {
        image_id: read_mask(attempt, image_id, model, field=field)
        for index, target in enumerate(spec.targets)
        for image_id, field in _masks_of(target, index).items()
    }
    points = read_points(attempt, spec.points, model, bundle, steps=spec.inversion_steps, how=spec.inverting)
    return LearnTask(spec, model, bundle, points, masks)


def _masks_of(target: Target, index: int) -> dict[str, str]:
    """Image ids of the masks that a target needs, each with the member that names it."""
    named = copied_masks(target.mask_operations, field=f"targets.{index}.mask_operations")
    return named if target.mask is None else named | {target.mask: f"targets.{index}.mask"}


def _operate(task: LearnTask, resume: State | None) -> Steps[LearnOutcome]:
    spec = task.spec
    optimised = sum(target.mask is not None or bool(target.mask_operations) for target in spec.targets)
    reported = (spec.transfer_samples + REFINE_STEPS) if spec.transfer_samples else 0
    total = steps_to_find(task.points) + spec.steps * optimised
    course = Course(max(1, total + reported * len(spec.targets)), resume)
    codes = yield from find_codes(course, task.points, task.bundle)
    learned = []
    for index, target in enumerate(spec.targets):
        learned.append((yield from _learn(task, course, codes, target, index)))
    return LearnOutcome(codes, learned)


def _learn(task: LearnTask, course: Course, codes: Codes, target: Target, index: int) -> Steps[Learned]:
    metrics: dict[str, Any] = {}
    if target.mask is not None or target.mask_operations:
        first = codes[task.spec.one]
        delta_w, q_edit, metrics = yield from _optimise(task, course, first, target, index)
    elif target.after is not None:
        first = codes[task.spec.one]
        delta_w, q_edit = from_pairs([first.w_plus], [codes[target.after].w_plus]), ()
    else:
        first = codes[target.pairs[0].before]
        before = [codes[pair.before].w_plus for pair in target.pairs]
        after = [codes[pair.after].w_plus for pair in target.pairs]
        delta_w, q_edit = from_pairs(before, after), ()
    example = show(first.bundle(task.bundle), first.w_plus, delta_w)
    q_edit = q_edit or _named(task, target, index) or parts_that_changed(example, task.bundle.parts)
    found = what_changed(example, task.bundle.parts, task.model.groups, q_edit)
    told = yield from _report(task, course, Trial(delta_w, q_edit, measure_of(found)), example, index)
    kind = target.editing_type or editing_type(found)
    return Learned(new_id(), first, delta_w, q_edit, example, kind, told, metrics)


def _named(task: LearnTask, target: Target, index: int) -> tuple[int, ...]:
    parts, groups = task.model.parts, task.model.groups
    return resolve_parts(target.q_edit, parts, groups, field=f"targets.{index}.q_edit")


def _optimise(
    task: LearnTask, course: Course, first: Inverted, target: Target, index: int
) -> Steps[tuple[torch.Tensor, tuple[int, ...], dict[str, Any]]]:
    """The vector [L, D] that makes the first point's mask the one wanted; what it is about; its scores."""
    spec, bundle, name = task.spec, first.bundle(task.bundle), f"edit_{index}"
    view = look(bundle, first.w_plus)
    wanted, q_edit = _wanted(task, view.masks[0], target, index)
    known, losses = course.known(name), course.known(f"losses_{index}")
    if known is not None and losses is not None:
        course.skipped(spec.steps)
        delta_w = known.to(bundle.device)
    else:
        codes, masks = _also(task, first, wanted, target, index)
        shared = len(codes) > 1
        how = losses_of(spec) | {"shared": shared, "resume": course.resumed(name)}
        edited = yield from course.run(name, edit(bundle, codes, masks, q_edit, **how), spec.steps)
        delta_w = edited.delta_w[:1]
        own = edited.metrics[0]
        losses = torch.tensor([own["loss_first"], own["loss_last"], edited.steps], dtype=torch.float64)
    course.keep(name, delta_w)
    course.keep(f"losses_{index}", losses)
    loss_first, loss_last, steps = losses.tolist()
    drawn = look(bundle, first.w_plus + delta_w)
    result = EditResult(delta_w, drawn.pictures, drawn.masks, view.pictures, view.masks, int(steps))
    scores = score_edit(bundle, result, wanted[None], q_edit, 0)
    more = {"loss_first": loss_first, "loss_last": loss_last, "steps": int(steps)}
    return delta_w[0], q_edit, scores | more


def _wanted(task: LearnTask, mask: Picture, target: Target, index: int) -> tuple[Picture, tuple[int, ...]]:
    """The mask wanted [R, R] and the parts that the vector is about. Raises MaskUnchanged."""
    parts, groups, field = task.model.parts, task.model.groups, f"targets.{index}"
    if target.mask is not None:
        wanted = task.masks[target.mask]
    else:
        operations = target.mask_operations
        wanted = apply_operations(
            mask, operations, parts, groups, task.masks, field=f"{field}.mask_operations"
        )
    if np.array_equal(wanted, mask):
        raise MaskUnchanged("The mask asked for is the mask that is there already.", field=field)
    return wanted, edited_parts(target, mask, wanted, parts, groups)


def _also(
    task: LearnTask, first: Inverted, wanted: Picture, target: Target, index: int
) -> tuple[torch.Tensor, Picture]:
    """The codes [N, L, D] to learn on, the first point's before those of samples, and the masks wanted there.

    A sample whose mask the operations leave as it is teaches nothing; another is taken.
    """
    codes, masks, missing = [first.w_plus], [wanted], task.spec.samples if target.mask_operations else 0
    for seed in range(LEARN_SEED, LEARN_SEED + MOST_TRIES * missing):
        if len(codes) > missing:
            break
        w_plus = seeded_code(task.bundle, seed, TRUNCATION_PSI)
        with suppress(MaskUnchanged):
            masks.append(_wanted(task, look(task.bundle, w_plus).masks[0], target, index)[0])
            codes.append(w_plus)
    return torch.cat(codes), np.stack(masks)


def _report(
    task: LearnTask, course: Course, trial: Trial, example: Example, index: int
) -> Steps[dict[str, Any]]:
    """The vector's transfer report; {} where none is asked for."""
    spec, bundle = task.spec, task.bundle
    if not spec.transfer_samples:
        return {}
    seeds = [spec.transfer_seed + sample for sample in range(spec.transfer_samples)]
    name, gain_name = f"transfer_{index}", f"gain_{index}"
    known = course.known(name)
    if known is not None:
        course.skipped(len(seeds))
        rows = known.numpy()
    else:
        rows = yield from course.run(
            name, transfer(bundle, trial, seeds, resume=course.resumed(name)), len(seeds)
        )
    course.keep(name, torch.from_numpy(rows))
    known = course.known(gain_name)
    if known is not None:
        course.skipped(REFINE_STEPS)
        gain_db = float(known)
    else:
        refined = refined_gain(bundle, trial, seeds, resume=course.resumed(gain_name))
        gain_db = yield from course.run(gain_name, refined, REFINE_STEPS)
    course.keep(gain_name, torch.tensor(gain_db, dtype=torch.float64))
    seen = seen_change(bundle, example, trial.measure)
    return report(rows, STRENGTHS, trial.measure, seen, seed=spec.transfer_seed, gain_db=gain_db)


RECIPE = Recipe(_load, _operate, save_learned)
