"""The operation that a batch's spec asks for, with its model and vectors at hand."""

from typing import Any

from gpu_ops.many.editing import Editing
from gpu_ops.presets import weigh
from storage.batch_specs import BatchSpec, how_of
from storage.library_records import Model
from storage.mask_operations import copied_masks
from storage.masks import resolve_parts
from storage.results import Results
from storage.specs import EditSpec, InvertSpec
from storage.vector_specs import ApplySpec
from workers.attempt import Attempt
from workers.bulk.applying import ApplyMany, work_of
from workers.bulk.chunk import recipe_of
from workers.bulk.codes import Codes, InvertMany
from workers.bulk.editing import EditMany
from workers.bulk.operation import Operation
from workers.recipes.apply_task import plan_of, read_vector
from workers.recipes.inputs import read_mask
from workers.recipes.weighing import weights_of


def operation_of(attempt: Attempt, spec: BatchSpec, results: Results) -> tuple[Operation, int, str]:
    """As workers/bulk/chunk.py wants it."""
    wanted = spec.wanted
    model = attempt.stores.library.get_model(attempt.job.tenant_id, wanted.model)
    bundle = attempt.models.bundle(model)
    how = how_of(spec)
    steps = wanted.steps if isinstance(wanted, InvertSpec) else wanted.inversion_steps
    codes = Codes(attempt, model, bundle, results, steps, how, spec.truncation_psi)
    settings = {name: value for name, value in spec.spec.items() if name not in ("model", "kind")}
    match wanted:
        case InvertSpec():
            operation: Operation = InvertMany(codes)
        case ApplySpec():
            operation = _apply(attempt, wanted, model, codes, settings)
        case EditSpec():
            operation = _edit(attempt, wanted, model, codes, settings)
    return operation, model.resolution_px, model.digest


def _apply(
    attempt: Attempt, spec: ApplySpec, model: Model, codes: Codes, settings: dict[str, Any]
) -> ApplyMany:
    chosen = tuple(read_vector(attempt, use, model, index) for index, use in enumerate(spec.vectors))
    named = [each.vector.q_edit for each in chosen]
    names = [name for parts in named for name in parts] if all(named) else []
    q_edit = resolve_parts(names, model.parts, model.groups, field="vectors")
    plan = plan_of(spec, chosen)
    pinned = {each.vector.id: each.vector.files["delta_w"].sha256 for each in chosen}
    work = work_of(codes, plan)
    return ApplyMany(
        codes, spec, chosen, q_edit, work, settings | {"delta_w": pinned, "gain_db": plan.gain_db}
    )


def _edit(attempt: Attempt, spec: EditSpec, model: Model, codes: Codes, settings: dict[str, Any]) -> EditMany:
    copied = {
        image_id: read_mask(attempt, image_id, model, field=field)
        for image_id, field in copied_masks(spec.mask_operations).items()
    }
    weights = weigh(codes.bundle, spec.preset, **weights_of(spec))
    layers = None if spec.layers is None else (spec.layers[0], spec.layers[1])
    work = Editing(codes.bundle, spec.steps, spec.lr, weights, layers, spec.buffer_px)
    return EditMany(codes, spec, copied, work, settings)


RECIPE = recipe_of(operation_of)
