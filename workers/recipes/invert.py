"""invert: the code that makes the model draw an uploaded picture."""

from dataclasses import dataclass

from gpu_ops.bundle import Bundle
from gpu_ops.invert import InvertResult, invert
from gpu_ops.picture import Picture
from gpu_ops.progress import State, Steps
from storage.records import Model
from storage.specs import InvertSpec
from workers.attempt import Attempt, Saved
from workers.recipe import Recipe
from workers.recipes.inputs import find_model, read_picture
from workers.recipes.outputs import W_PLUS, Outputs


@dataclass(frozen=True)
class InvertTask:
    """picture  uint8 [R, R, 3]"""

    spec: InvertSpec
    model: Model
    bundle: Bundle
    picture: Picture


def _load(attempt: Attempt) -> InvertTask:
    spec, model = attempt.spec, find_model(attempt)
    assert isinstance(spec, InvertSpec)
    picture = read_picture(attempt, spec.image, model.resolution_px)
    return InvertTask(spec, model, attempt.models.bundle(model), picture)


def _operate(task: InvertTask, resume: State | None) -> Steps[InvertResult]:
    return invert(
        task.bundle, task.picture[None], steps=task.spec.steps, lr=task.spec.lr or 0.1, resume=resume
    )


def _save(attempt: Attempt, task: InvertTask, result: InvertResult) -> Saved:
    outputs = Outputs(attempt, task.model)
    outputs.picture("input.png", task.picture)
    outputs.picture("inverted.png", result.pictures[0])
    outputs.mask("mask.png", result.masks[0])
    outputs.tensor(W_PLUS, result.w_plus)
    facts = outputs.facts(
        task.bundle,
        steps=result.steps,
        psnr_db=result.psnr_db[0],
        loss_first=result.losses_first[0],
        loss_last=result.losses_last[0],
    )
    return Saved(attempt.outputs, facts)


RECIPE = Recipe(_load, _operate, _save)
