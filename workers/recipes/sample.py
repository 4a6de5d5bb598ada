"""sample: pictures and masks drawn from a model."""

from dataclasses import dataclass

from gpu_ops.bundle import Bundle
from gpu_ops.progress import State, Steps
from gpu_ops.sample import SampleResult, sample
from storage.library_records import Model
from storage.specs import SampleSpec
from workers.attempt import Attempt, Saved
from workers.recipe import Recipe
from workers.recipes.inputs import find_model
from workers.recipes.outputs import W_PLUS, Outputs

# Pictures drawn at a time, at most. On a CPU one by one: so a seed gives the same bits every time.
CHUNKS = {"cpu": 1, "cuda": 8}


@dataclass(frozen=True)
class SampleTask:
    spec: SampleSpec
    model: Model
    bundle: Bundle
    chunk: int

    @property
    def seeds(self) -> list[int]:
        return [self.spec.seed + index for index in range(self.spec.count)]


def _load(attempt: Attempt) -> SampleTask:
    spec, model = attempt.spec, find_model(attempt)
    assert isinstance(spec, SampleSpec)
    bundle = attempt.models.bundle(model)
    return SampleTask(spec, model, bundle, chunk=attempt.tensor_batch(CHUNKS[bundle.device.type]))


def _operate(task: SampleTask, _resume: State | None) -> Steps[SampleResult]:
    return sample(task.bundle, task.seeds, task.spec.truncation_psi, chunk=task.chunk)


def _save(attempt: Attempt, task: SampleTask, result: SampleResult) -> Saved:
    outputs = Outputs(attempt, task.model)
    drawn = zip(task.seeds, result.pictures, result.masks, strict=False)  # a stopped job drew fewer
    for index, (seed, picture, mask) in enumerate(drawn):
        outputs.picture(f"picture_{index:03d}.png", picture, seed=seed)
        outputs.mask(f"mask_{index:03d}.png", mask, seed=seed)
    outputs.tensor(W_PLUS, result.w_plus)
    return Saved(attempt.outputs, outputs.facts(task.bundle, steps=len(result.pictures)))


RECIPE = Recipe(_load, _operate, _save)
