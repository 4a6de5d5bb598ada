"""generate_dataset: samples, or samples edited by vectors, with their masks, as a data set.

Shards are put as they are full, long before the job is saved. A checkpoint holds the open ones, and names the
others: so an attempt that goes on draws nothing again, and only copies those to its own prefix.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from gpu_ops.progress import Progress, State, Steps
from gpu_ops.stages import resumed, stage
from storage.errors import InvalidInput, ObjectCorrupt, OutputNotFound
from storage.version import code_version
from workers.attempt import Attempt, Saved
from workers.datasets.card import About
from workers.datasets.choose import Numbers, combinations, too_many, too_uncertain
from workers.datasets.writing import DatasetWriter
from workers.recipe import Recipe
from workers.recipes.dataset_task import DatasetTask, read_task
from workers.recipes.outputs import Outputs

LOOK, DRAW = "look", "draw"
TOLD, MODEL = "told", "model"


@dataclass(frozen=True)
class Survey:
    """What was seen of the first n samples: scores float64 [n] in nats; shown uint8 [n, P]."""

    scores: torch.Tensor
    shown: torch.Tensor

    def state(self) -> State:
        return {"scores": self.scores, "shown": self.shown}


@dataclass(frozen=True)
class Decision:
    """Which samples are to be in the data set, as far as that is known before they are drawn.

    order     of their indices, ascending
    scores    of all samples looked at; None: they are rejected while they are drawn
    rejected  by the reason
    """

    order: list[int]
    scores: Numbers | None = None
    rejected: dict[str, int] = field(default_factory=dict)


@dataclass
class Drawing:
    """How far it has come. position: in a decision's order; refused: while drawing; least: score so far."""

    writer: DatasetWriter
    position: int = 0
    refused: int = 0
    least: float = float("inf")


@dataclass(frozen=True)
class Made:
    drawing: Drawing
    decision: Decision


def _operate(task: DatasetTask, resume: State | None) -> Steps[Made]:
    spec, carry = task.spec, {MODEL: torch.tensor(list(bytes.fromhex(task.model.digest)), dtype=torch.uint8)}
    if resume is not None and not torch.equal(resume[MODEL], carry[MODEL]):
        resume = None  # another version of the model: a data set is of one
    drawn = resumed(DRAW, resume)
    if not spec.foresight:
        steps = _draw(task, Decision(list(range(spec.count))), drawn)
        return (yield from stage(DRAW, steps, done=0, total=spec.count, carry=carry))
    looked, total = resumed(LOOK, resume), 2 * spec.count
    if drawn is None:
        survey = yield from stage(LOOK, _look(task, looked), done=0, total=total, carry=carry)
    else:  # looking is over, if only because it was told to stop
        assert looked is not None
        survey = Survey(**looked)
    carry |= {f"{LOOK}.{name}": tensor for name, tensor in survey.state().items()}
    steps = _draw(task, _decide(task, survey), drawn)
    return (yield from stage(DRAW, steps, done=spec.count, total=total, carry=carry))


def _look(task: DatasetTask, resume: State | None) -> Steps[Survey]:
    """Draw every sample once, and keep no more than what decisions need."""
    nothing = torch.zeros(0, len(task.balanced), dtype=torch.uint8)
    survey = Survey(torch.zeros(0, dtype=torch.float64), nothing) if resume is None else Survey(**resume)
    while (seen := len(survey.scores)) < task.spec.count:
        drawn = task.draw(task.seeds[seen : seen + task.chunk])
        survey = Survey(
            torch.cat([survey.scores, torch.from_numpy(drawn.scores)]),
            torch.cat([survey.shown, torch.from_numpy(task.shown(drawn.masks))]),
        )
        told = {"uncertainty": float(drawn.scores.mean())}
        if (yield Progress(len(survey.scores), task.spec.count, told, state=survey.state)):
            break
    return survey


def _decide(task: DatasetTask, survey: Survey) -> Decision:
    """Who is left out, of those looked at."""
    spec, scores = task.spec, survey.scores.numpy()
    unsure = too_uncertain(scores, spec.max_uncertainty, spec.reject_fraction)
    surplus = np.zeros(len(scores), bool)
    if spec.balance is not None:
        seeds = task.seeds[: len(scores)]
        if spec.balance.by == "parts":
            strata = combinations(survey.shown.numpy().astype(bool))
        else:
            strata = np.array([task.stratum(seed) for seed in seeds], np.int64)
        surplus = too_many(strata, ~unsure, spec.balance.ratio, [task.source(seed) for seed in seeds])
    rejected = {"uncertainty": int(unsure.sum()), "balance": int(surplus.sum())}
    return Decision(np.flatnonzero(~(unsure | surplus)).tolist(), scores, rejected)


def _draw(task: DatasetTask, decision: Decision, resume: State | None) -> Steps[Made]:
    """Draw what the decision leaves, and write it. Steps count samples, those left out too."""
    drawing, order = Drawing(DatasetWriter(task.sink, task.plan)), decision.order
    try:
        if resume is not None:
            yield from _go_on(task, drawing, resume, decision)
        while drawing.position < len(order):
            some = order[drawing.position : drawing.position + task.chunk]
            told = _write(task, decision, drawing, some)
            step = _step(task, decision, drawing)
            if (yield Progress(step, task.spec.count, told, state=_state(task, drawing))):
                break
        if not drawing.writer.count:
            raise _nothing_left(decision, drawing)
    except BaseException:
        drawing.writer.close()
        raise
    return Made(drawing, decision)


def _write(task: DatasetTask, decision: Decision, drawing: Drawing, some: list[int]) -> dict[str, float]:
    """Draw samples by index, and add those that are sure enough to the data set."""
    seeds, limit = [task.seeds[index] for index in some], task.spec.max_uncertainty
    drawn = task.draw(seeds)
    scores = drawn.scores if decision.scores is None else decision.scores[some]
    refused = too_uncertain(scores, limit) if decision.scores is None else np.zeros(len(some), bool)
    for row in np.flatnonzero(~refused).tolist():
        item = task.item(seeds[row], drawn.pictures[row], drawn.masks[row], float(scores[row]))
        drawing.writer.add(item)
    drawing.position += len(some)
    drawing.refused += int(refused.sum())
    drawing.least = min(drawing.least, float(scores.min()))
    return {"uncertainty": float(scores.mean())}


def _step(task: DatasetTask, decision: Decision, drawing: Drawing) -> int:
    """The last sample drawn; at the end all of them, unless looking was ended early."""
    looked_at = task.spec.count if decision.scores is None else len(decision.scores)
    if drawing.position == len(decision.order):
        return looked_at
    return decision.order[drawing.position - 1] + 1


def _state(task: DatasetTask, drawing: Drawing) -> Callable[[], State]:
    def state() -> State:
        at = {"position": drawing.position, "refused": drawing.refused, "least": drawing.least}
        told = json.dumps({**at, "put": task.sink.told()}).encode()
        kept = {TOLD: np.frombuffer(told, np.uint8), **drawing.writer.keep()}
        return {name: torch.from_numpy(content.copy()) for name, content in kept.items()}

    return state


def _go_on(task: DatasetTask, drawing: Drawing, resume: State, decision: Decision) -> Steps[None]:
    """Take up what an earlier attempt has written; nothing, where some of that is gone."""
    kept = {name: tensor.numpy() for name, tensor in resume.items()}
    told = json.loads(kept.pop(TOLD).tobytes())
    drawing.position = told["position"]
    try:
        for _ in task.sink.take_over(told["put"]):  # no state: it is not worth a checkpoint, or giving way
            yield Progress(_step(task, decision, drawing), task.spec.count)
    except (OutputNotFound, ObjectCorrupt):
        drawing.position = 0
        return
    drawing.refused, drawing.least = told["refused"], told["least"]
    drawing.writer.restore(kept)


def _nothing_left(decision: Decision, drawing: Drawing) -> InvalidInput:
    least = drawing.least if decision.scores is None else float(decision.scores.min())
    return InvalidInput(
        "The segmenter is less sure of every sample than the limit allows.",
        field="max_uncertainty",
        expected=f"at least {math.ceil(least * 10_000) / 10_000:.4f}, for the surest sample",
    )


def _save(attempt: Attempt, task: DatasetTask, made: Made) -> Saved:
    writer = made.drawing.writer
    try:
        about = _about(task, made)
        found = writer.finish(about)
    finally:
        writer.close()
    outputs = Outputs(attempt, task.model, [each.vector.id for each in task.ranged])
    facts = outputs.facts(
        task.bundle,
        steps=about.drawn,
        items=found["items"],
        splits=found["splits"],
        drawn=about.drawn,
        rejected=dict(about.rejected),
        parts={part["name"]: sum(part["items"].values()) for part in found["parts"]},
        uncertainty=found["uncertainty"],
        spec_digest=task.spec_digest,
    )
    outputs.json("provenance.json", outputs.provenance(task.spec.seed) | {"result": facts})
    return Saved(attempt.outputs, facts)


def _about(task: DatasetTask, made: Made) -> About:
    spec, model, decision, drawing = task.spec, task.model, made.decision, made.drawing
    rejected = decision.rejected | {"uncertainty": decision.rejected.get("uncertainty", 0) + drawing.refused}
    left = len(decision.order) - drawing.position
    if left and decision.scores is not None:  # stopped: chosen, and not drawn any more
        rejected |= {"stopped": left}
    vectors: list[dict[str, Any]] = [
        {"vector": each.vector.id, "name": each.vector.name, "strength": [each.range.low, each.range.high]}
        for each in task.ranged
    ]
    return About(
        title=f"Synthetic {model.name}: {drawing.writer.count} labelled pictures",
        licence=str(model.card.get("license", "not stated")),
        model=model.name,
        model_digest=model.digest,
        code_version=code_version(),
        spec=task.asked,
        spec_digest=task.spec_digest,
        size_px=(model.resolution_px, model.resolution_px),
        asked=spec.count,
        drawn=drawing.position if decision.scores is None else len(decision.scores),
        rejected=rejected,
        vectors=vectors,
    )


RECIPE = Recipe(read_task, _operate, _save)
