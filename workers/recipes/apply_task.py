"""What an `apply` job works on: its points, the vectors chosen for them, and how far each is applied."""

from dataclasses import dataclass, field

import torch
from safetensors.torch import load

from gpu_ops.apply import Plan
from gpu_ops.bundle import Bundle
from gpu_ops.refine import View
from gpu_ops.vectors import Use, combine
from storage.amounts import strength_for
from storage.errors import InvalidInput
from storage.library_records import Model, Vector
from storage.masks import resolve_parts
from storage.photographs import check_pasted
from storage.vector_specs import REFINE_STEPS, ApplySpec, VectorUse
from workers.attempt import Attempt
from workers.models import core_is_free
from workers.recipes.inputs import find_model
from workers.recipes.outputs import Outputs
from workers.recipes.points import Points, read_points

BEFORE = -1
Place = tuple[int, int]
"""(row, column) of a task's pictures: a point and a factor of its sweep, or BEFORE any vector."""


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


def load_task(attempt: Attempt) -> ApplyTask:
    spec, model = attempt.spec, find_model(attempt)
    assert isinstance(spec, ApplySpec)
    for name, point in zip(spec.fields, spec.points, strict=True):
        check_pasted(point, attempt.job.tenant_id, attempt.stores, f"{name}photo")
    bundle = attempt.models.bundle(model).for_applying()
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
