"""invert: the code that makes the model draw an uploaded picture."""

from dataclasses import dataclass
from typing import Any

from gpu_ops.bundle import Bundle
from gpu_ops.picture import Picture, to_uint8
from gpu_ops.progress import State, Steps
from storage.library_records import Model
from storage.specs import InvertSpec
from workers.attempt import Attempt, Saved
from workers.recipe import Recipe
from workers.recipes.course import Course
from workers.recipes.inputs import find_model
from workers.recipes.inversions import Inverted, Search, find_code, kept_inversion, save_code, search_for
from workers.recipes.outputs import Outputs
from workers.recipes.photographs import box_facts, read_photograph


@dataclass(frozen=True)
class InvertTask:
    spec: InvertSpec
    model: Model
    bundle: Bundle
    search: Search
    box: dict[str, Any]


@dataclass(frozen=True)
class InvertOutcome:
    """picture uint8 [R, R, 3], redrawn; mask uint8 [R, R]"""

    found: Inverted
    picture: Picture
    mask: Picture


def _load(attempt: Attempt) -> InvertTask:
    spec, model = attempt.spec, find_model(attempt)
    assert isinstance(spec, InvertSpec)
    photograph = read_photograph(attempt, spec.image, spec.box, field="box")
    bundle = attempt.models.bundle(model)
    search = search_for(attempt, model, bundle, photograph, spec.steps, spec)
    return InvertTask(spec, model, bundle, search, box_facts(photograph))


def _operate(task: InvertTask, resume: State | None) -> Steps[InvertOutcome]:
    found = yield from find_code(Course(task.search.most, resume), task.search, task.bundle)
    drawn, masks = found.bundle(task.bundle).draw(found.w_plus)
    return InvertOutcome(found, to_uint8(drawn)[0], masks[0].cpu().numpy().astype("uint8"))


def _save(attempt: Attempt, task: InvertTask, outcome: InvertOutcome) -> Saved:
    outputs, found = Outputs(attempt, task.model), outcome.found
    outputs.picture("input.png", task.search.picture)
    outputs.picture("inverted.png", outcome.picture)
    outputs.mask("mask.png", outcome.mask)
    save_code(outputs, found)
    facts = outputs.facts(task.bundle, **found.facts, **found.told(task.spec), **task.box)
    return Saved(attempt.outputs, facts, kept_inversion(attempt, task.search, found))


RECIPE = Recipe(_load, _operate, _save)
