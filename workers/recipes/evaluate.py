"""evaluate: a model's samples measured, or what an editing vector makes of them."""

from dataclasses import dataclass

import numpy as np
from safetensors.torch import load

from gpu_ops.attributes import classifier
from gpu_ops.bundle import Bundle
from gpu_ops.evaluate import Attribute, Evaluation, Plan, evaluate
from gpu_ops.inception import load_inception
from gpu_ops.progress import State, Steps
from gpu_ops.vectors import Use
from storage.errors import InvalidInput
from storage.library_records import Model
from storage.training_specs import EvaluateSpec
from workers.attempt import Attempt, Saved
from workers.recipe import Recipe
from workers.recipes.inputs import find_model, read_picture
from workers.recipes.outputs import Outputs

CHUNKS = {"cpu": 16, "cuda": 64}
"""Pictures read at a time, at most."""


@dataclass(frozen=True)
class EvaluateTask:
    spec: EvaluateSpec
    model: Model
    bundle: Bundle
    plan: Plan


def _load(attempt: Attempt) -> EvaluateTask:
    spec, model = attempt.spec, find_model(attempt)
    assert isinstance(spec, EvaluateSpec)
    bundle = attempt.models.bundle(model)
    pictures = [read_picture(attempt, image_id, model.resolution_px) for image_id in spec.images]
    inception = attempt.models.inception_weights() if pictures else None
    plan = Plan(
        seeds=[spec.seed + index for index in range(spec.samples)],
        truncation_psi=spec.truncation_psi,
        pictures=np.stack(pictures) if pictures else None,
        features=None if inception is None else load_inception(inception, bundle.device),
        use=_use(attempt, spec, model),
        attribute=_attribute(attempt, spec, model, bundle),
        subsets=spec.kid_subsets,
        subset_size=spec.kid_subset_size,
        seed=spec.seed,
        chunk=attempt.tensor_batch(CHUNKS[bundle.device.type]),
    )
    return EvaluateTask(spec, model, bundle, plan)


def _use(attempt: Attempt, spec: EvaluateSpec, model: Model) -> Use | None:
    if spec.vector is None:
        return None
    vector = attempt.stores.library.get_vector(attempt.job.tenant_id, spec.vector)
    if not vector.fits(model):
        detail = f"Vector {vector.id} was learned on another generator."
        raise InvalidInput(detail, field="vector")
    delta_w = load(attempt.stores.objects.get(vector.files["delta_w"]))["delta_w"]
    return Use(delta_w, spec.strength, vector.id)


def _attribute(attempt: Attempt, spec: EvaluateSpec, model: Model, bundle: Bundle) -> Attribute | None:
    if spec.attribute is None:
        return None
    name, _, word = spec.attribute.partition("=")
    return (word, *classifier(attempt.models.folder(model), name, bundle.device))


def _operate(task: EvaluateTask, resume: State | None) -> Steps[Evaluation]:
    return evaluate(task.bundle, task.plan, resume=resume)


def _save(attempt: Attempt, task: EvaluateTask, found: Evaluation) -> Saved:
    spec = task.spec
    outputs = Outputs(attempt, task.model, [] if spec.vector is None else [spec.vector])
    for index in range(len(found.before)):
        seed = spec.seed + index
        outputs.picture(f"before_{index:03d}.png", found.before[index], seed=seed)
        if spec.vector is not None:
            outputs.picture(f"after_{index:03d}.png", found.after[index], seed=seed)
    facts = outputs.facts(task.bundle, steps=found.figures["samples"], **found.figures)
    outputs.json("provenance.json", outputs.provenance(spec.seed) | {"result": facts})
    return Saved(attempt.outputs, facts)


RECIPE = Recipe(_load, _operate, _save)
