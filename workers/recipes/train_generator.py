"""train_generator: a model that draws pictures like those uploaded, from nothing."""

import math
import tempfile
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gpu_ops.picture import to_uint8
from gpu_ops.progress import State, Steps
from gpu_ops.stylegan2.generator import Generator, GeneratorConfig
from gpu_ops.training.generator import train
from gpu_ops.training.pictures import Pictures
from gpu_ops.training.state import TrainingConfig, TrainingState
from storage.annotations import UNLABELLED
from storage.library_records import Kept, Model
from storage.plain import plain
from storage.training_specs import TrainGeneratorSpec
from storage.version import code_version
from workers.attempt import Attempt, Saved
from workers.recipe import Recipe
from workers.recipes.inputs import find_model, read_picture
from workers.recipes.new_model import new_model, put_network
from workers.recipes.outputs import Outputs

GRID = 6
"""Samples on a side of the sheet that shows what was learned."""
R1_GAMMA = 0.0002  # times R^2 / batch (Karras et al. 2020)


@dataclass(frozen=True)
class GeneratorTask:
    """pictures  uint8 [n, R, R, 3], mirrored ones included

    latest  the losses of the last step
    """

    spec: TrainGeneratorSpec
    base: Model
    pictures: Pictures
    state: TrainingState
    total: int
    latest: dict[str, float] = field(default_factory=dict)


def _load(attempt: Attempt) -> GeneratorTask:
    spec, base = attempt.spec, find_model(attempt)
    assert isinstance(spec, TrainGeneratorSpec)
    device = attempt.models.prepare(spec.resolution_px)
    state = TrainingState(configuration(spec), device)
    total = math.ceil(spec.kimg * 1000 / spec.batch)
    return GeneratorTask(spec, base, Pictures(_pictures(attempt, spec)), state, total)


def configuration(spec: TrainGeneratorSpec) -> TrainingConfig:
    gamma = R1_GAMMA * spec.resolution_px**2 / spec.batch if spec.gamma is None else spec.gamma
    model = GeneratorConfig(
        resolution=spec.resolution_px,
        z_dim=spec.w_dim,
        w_dim=spec.w_dim,
        mapping_layers=spec.mapping_layers,
        channel_base=spec.channel_base,
        channel_max=spec.channel_max,
    )
    return TrainingConfig(
        model=model,
        batch=spec.batch,
        lr=spec.lr,
        gamma=gamma,
        seed=spec.seed,
        ada_target=spec.ada_target,
        ada_kimg=spec.ada_kimg,
    )


def _pictures(attempt: Attempt, spec: TrainGeneratorSpec) -> npt.NDArray[np.uint8]:
    """All pictures in a file that nobody sees, so that thousands of large ones need no memory."""
    size, count = spec.resolution_px, len(spec.images)
    with tempfile.TemporaryFile() as file:
        shape = (count * (2 if spec.mirror else 1), size, size, 3)
        found = np.memmap(file, np.uint8, "w+", shape=shape)
    for index, image_id in enumerate(spec.images):
        found[index] = read_picture(attempt, image_id, size)
        if spec.mirror:
            found[count + index] = found[index][:, ::-1]
    return found


def _operate(task: GeneratorTask, resume: State | None) -> Steps[Generator]:
    if resume is not None:
        task.state.restore(resume)
    run = train(task.state, task.pictures, task.total)
    enough: bool | None = None
    while True:
        try:
            progress = run.send(enough)
        except StopIteration:
            return task.state.average
        task.latest.clear()
        task.latest.update(progress.losses)
        enough = yield progress


def _save(attempt: Attempt, task: GeneratorTask, average: Generator) -> Saved:
    spec, state = task.spec, task.state
    files = {
        "generator": put_network(attempt, "generator", average, {}),
        "perceptual": task.base.files["perceptual"],
    }
    figures: dict[str, Any] = {
        "kimg": state.pictures_seen / 1000,
        "pictures": len(spec.images),
        "augment_p": state.augmentation.p,
        "losses": task.latest,
    }
    model = new_model(
        attempt,
        spec.name,
        task.base,
        files,
        resolution_px=spec.resolution_px,
        parts=[UNLABELLED],
        groups={},
        card={
            "description": f"Trained here on {len(spec.images)} pictures",
            "license": "that of its pictures",
            "needs": "train_segmenter",
            "training": {**asdict(state.config), **figures},
        },
    )
    outputs = Outputs(attempt, task.base)
    outputs.picture("samples.png", _sheet(average, spec.seed), seed=spec.seed)
    facts: dict[str, Any] = plain(
        {
            "model": task.base.name,
            "model_digest": task.base.digest,
            "new_model": model.name,
            "new_model_digest": model.digest,
            "needs": "train_segmenter",
            "perceptual_backbone_of": task.base.name,
            "code_version": code_version(),
            "steps": state.step,
            **figures,
        }
    )
    outputs.json("provenance.json", outputs.provenance(spec.seed) | {"result": facts})
    return Saved(attempt.outputs, facts, Kept(models=(model,)))


@torch.no_grad()
def _sheet(generator: Generator, seed: int) -> npt.NDArray[np.uint8]:
    """GRID x GRID samples, untruncated: uint8 [H, W, 3]."""
    z = torch.randn(GRID**2, generator.config.z_dim, generator=torch.Generator().manual_seed(seed))
    z = z.to(generator.mapping.w_avg.device)
    drawn = np.concatenate([to_uint8(generator(each[None])) for each in z])  # [n, R, R, 3]
    rows = [np.concatenate(list(row), axis=1) for row in drawn.reshape(GRID, GRID, *drawn.shape[1:])]
    return np.concatenate(rows)


RECIPE = Recipe(_load, _operate, _save)
