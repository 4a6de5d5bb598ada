"""train_encoder: a picture's first guess of its code, learned from samples and uploaded pictures."""

from dataclasses import dataclass

import numpy as np
import torch

from gpu_ops.bundle import Bundle
from gpu_ops.encoder import Encoder
from gpu_ops.picture import Picture, to_uint8
from gpu_ops.progress import State, Steps
from gpu_ops.sample import seeded_code
from gpu_ops.training.encoder import EncoderTraining, encoder_for, encoder_psnr_db, train_encoder
from storage.library_records import Kept, Model
from storage.training_specs import TrainEncoderSpec
from workers.attempt import Attempt, Saved
from workers.recipe import Recipe
from workers.recipes.inputs import find_model, read_pictures
from workers.recipes.new_model import files_of, new_model, put_network
from workers.recipes.outputs import Outputs

MEASURED, MEASURED_FROM = 32, 2_000_000
"""Samples that the encoder is measured on, and the seed of the first: none that training draws."""


@dataclass(frozen=True)
class EncoderTask:
    """pictures  uint8 [n, R, R, 3], n from 0"""

    spec: TrainEncoderSpec
    model: Model
    bundle: Bundle
    pictures: Picture
    encoder: Encoder


def _load(attempt: Attempt) -> EncoderTask:
    spec, model = attempt.spec, find_model(attempt)
    assert isinstance(spec, TrainEncoderSpec)
    bundle = attempt.models.bundle(model)
    pictures = read_pictures(attempt, spec.images, model.resolution_px)
    return EncoderTask(spec, model, bundle, pictures, encoder_for(bundle, seed=spec.seed))


def _operate(task: EncoderTask, resume: State | None) -> Steps[int]:
    spec = task.spec
    training = EncoderTraining(spec.steps, spec.batch, spec.warm_up, spec.lr, spec.seed)
    return train_encoder(task.encoder, task.bundle, task.pictures, training, resume=resume)


def _save(attempt: Attempt, task: EncoderTask, steps: int) -> Saved:
    spec, before = task.spec, task.model
    encoder = put_network(attempt, "encoder", task.encoder, task.encoder.config.as_dict())
    psnr_db = encoder_psnr_db(task.encoder, task.bundle, _samples(task.bundle))
    model = new_model(
        attempt,
        spec.name or before.name,
        before,
        files_of(before, without=("encoder",)) | {"encoder": encoder},
        resolution_px=before.resolution_px,
        parts=before.parts,
        groups=before.groups,
        card={**before.card, "encoder_psnr_db": psnr_db},
    )
    outputs = Outputs(attempt, before)
    facts = outputs.facts(
        task.bundle,
        steps=steps,
        new_model=model.name,
        new_model_digest=model.digest,
        psnr_samples_db=psnr_db,
        psnr_images_db=encoder_psnr_db(task.encoder, task.bundle, task.pictures) if spec.images else None,
    )
    outputs.json("provenance.json", outputs.provenance() | {"result": facts})
    return Saved(attempt.outputs, facts, Kept(models=(model,)))


@torch.no_grad()
def _samples(bundle: Bundle) -> Picture:
    """Fresh samples uint8 [n, R, R, 3]."""
    codes = (seeded_code(bundle, MEASURED_FROM + index, 0.7) for index in range(MEASURED))
    return np.concatenate([to_uint8(bundle.generator.synthesise(code).picture) for code in codes])


RECIPE = Recipe(_load, _operate, _save)
