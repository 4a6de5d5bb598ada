"""suggest_annotations: the samples that would teach a segmenter most."""

from dataclasses import dataclass

from gpu_ops.bundle import Bundle
from gpu_ops.progress import State, Steps
from gpu_ops.suggest import Suggestions, suggest
from storage.library_records import Model
from storage.training_specs import SuggestAnnotationsSpec
from workers.attempt import Attempt, Saved
from workers.recipe import Recipe
from workers.recipes.inputs import find_model
from workers.recipes.outputs import Outputs
from workers.recipes.train_segmenter import shade


@dataclass(frozen=True)
class SuggestTask:
    spec: SuggestAnnotationsSpec
    model: Model
    bundle: Bundle


def _load(attempt: Attempt) -> SuggestTask:
    spec, model = attempt.spec, find_model(attempt)
    assert isinstance(spec, SuggestAnnotationsSpec)
    return SuggestTask(spec, model, attempt.models.bundle(model))


def _operate(task: SuggestTask, resume: State | None) -> Steps[Suggestions]:
    spec = task.spec
    seeds = [spec.seed + index for index in range(spec.samples)]
    return suggest(task.bundle, seeds, spec.truncation_psi, spec.count, resume=resume)


def _save(attempt: Attempt, task: SuggestTask, suggestions: Suggestions) -> Saved:
    outputs = Outputs(attempt, task.model)
    for index, suggestion in enumerate(suggestions.items):
        seed = suggestion.seed
        outputs.picture(f"picture_{index:03d}.png", suggestion.picture, seed=seed)
        outputs.mask(f"mask_{index:03d}.png", suggestion.mask, seed=seed)
        outputs.picture(f"uncertainty_{index:03d}.png", shade(suggestion.unsure), seed=seed)
    found = [
        {"seed": each.seed, "uncertainty": each.score, "distance": each.distance}
        for each in suggestions.items
    ]
    facts = outputs.facts(
        task.bundle,
        steps=suggestions.looked_at,
        by="uncertainty and distance" if "segmenter" in task.model.files else "distance",
        truncation_psi=task.spec.truncation_psi,
        suggestions=found,
    )
    outputs.json("provenance.json", outputs.provenance() | {"result": facts})
    return Saved(attempt.outputs, facts)


RECIPE = Recipe(_load, _operate, _save)
