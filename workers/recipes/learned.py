"""What learn_vector starts from and finds, and how that is kept in the library."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from gpu_ops.bundle import Bundle
from gpu_ops.learn import Example
from gpu_ops.picture import Picture
from gpu_ops.presets import weigh
from storage.library_records import Inversion, Kept, Model, Vector
from storage.vector_specs import LearnVectorSpec, Losses, OnePoint, Target
from workers.attempt import Attempt, Saved
from workers.recipes.inversions import Inverted, Search, kept_inversion, save_code
from workers.recipes.outputs import Outputs
from workers.recipes.points import Points, inversion_facts, inversion_steps
from workers.recipes.weighing import weights_of


@dataclass(frozen=True)
class LearnTask:
    """masks: those that targets name, wanted or copied from, by image id."""

    spec: LearnVectorSpec
    model: Model
    bundle: Bundle
    points: Points
    masks: Mapping[str, Picture]


@dataclass(frozen=True)
class Learned:
    """A vector delta_w [L, D] and its example from first (a code); report: {} where none was asked for."""

    id: str
    first: Inverted
    delta_w: torch.Tensor
    q_edit: tuple[int, ...]
    example: Example
    editing_type: str
    report: dict[str, Any]
    metrics: dict[str, Any]


@dataclass(frozen=True)
class LearnOutcome:
    """codes: of every point, by point; learned: of every target, in order."""

    codes: Mapping[OnePoint, Inverted]
    learned: list[Learned]


def save_learned(attempt: Attempt, task: LearnTask, outcome: LearnOutcome) -> Saved:
    learned = outcome.learned
    outputs, first = Outputs(attempt, task.model, [each.id for each in learned]), learned[0]
    save_code(outputs, first.first)
    outputs.picture("inverted.png", first.example.before.pictures[0])
    outputs.mask("mask.png", first.example.before.masks[0])
    kept = [
        _keep(attempt, outputs, task, target, each, index)
        for index, (target, each) in enumerate(zip(task.spec.targets, learned, strict=True))
    ]
    told = [
        {"id": vector.id, "name": vector.name, "editing_type": vector.editing_type, **_shown(vector)}
        for vector in kept
    ]
    steps = inversion_steps(outcome.codes.values())
    steps += sum(each.metrics.get("steps", 0) for each in learned)
    facts = outputs.facts(task.bundle, steps=steps, precision=task.bundle.precision, vectors=told)
    outputs.json("provenance.json", outputs.provenance() | {"result": facts})
    return Saved(attempt.outputs, facts, Kept(tuple(kept), inversions=_inversions(attempt, task, first)))


def _inversions(attempt: Attempt, task: LearnTask, first: Learned) -> tuple[Inversion, ...]:
    """The first point's, where it was looked for here; it lies in the outputs of that name."""
    given = [search for search in task.points.values() if isinstance(search, Search)]
    if task.spec.image is None:
        return ()
    return kept_inversion(attempt, given[0], first.first).inversions


def _shown(vector: Vector) -> dict[str, Any]:
    """What the job's result tells of a vector; all of it is in the library."""
    reported = ("recommended", "refinement_advised", "by")
    return {
        "q_edit": list(vector.q_edit),
        **{name: vector.report[name] for name in reported if name in vector.report},
        **vector.facts["metrics"],
    }


def _keep(
    attempt: Attempt, outputs: Outputs, task: LearnTask, target: Target, learned: Learned, index: int
) -> Vector:
    """Write a vector's files, and make its record."""
    names = {role: f"vector_{index:02d}_{role}" for role in ("delta_w", "before", "after", "report")}
    outputs.tensor(f"{names['delta_w']}.safetensors", learned.delta_w, name="delta_w")
    outputs.picture(f"{names['before']}.png", learned.example.before.pictures[0])
    outputs.picture(f"{names['after']}.png", learned.example.after.pictures[0])
    outputs.mask(f"vector_{index:02d}_before_mask.png", learned.example.before.masks[0])
    outputs.mask(f"vector_{index:02d}_after_mask.png", learned.example.after.masks[0])
    outputs.json(f"{names['report']}.json", learned.report)
    endings = {"delta_w": "safetensors", "report": "json"}
    return Vector(
        id=learned.id,
        tenant_id=attempt.job.tenant_id,
        name=target.name,
        model=task.model.name,
        model_digest=task.model.digest,
        generator_sha256=task.model.generator_sha256,
        editing_type=learned.editing_type,
        tags=target.tags,
        q_edit=tuple(task.bundle.parts[part] for part in learned.q_edit),
        files={role: attempt.outputs[f"{name}.{endings.get(role, 'png')}"] for role, name in names.items()},
        facts=_facts(outputs, task, target, learned),
        report=learned.report,
        job_id=attempt.job.id,
        created_at=0.0,
    )


def _facts(outputs: Outputs, task: LearnTask, target: Target, learned: Learned) -> dict[str, Any]:
    """How a vector was made."""
    spec = task.spec
    aim = target.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return {
        "target": aim,
        "samples": spec.samples if target.mask_operations else 0,
        "losses": spec.model_dump(mode="json", include=set(Losses.model_fields)),
        "weights": asdict(weigh(task.bundle, spec.preset, **weights_of(spec))),
        "metrics": learned.metrics,
        "code_version": outputs.provenance()["code_version"],
        "perceptual_backbone": task.bundle.perceptual.name,
        **inversion_facts(learned.first, spec.inverting),
    }
