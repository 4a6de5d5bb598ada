"""train_encoder on a tiny random model: it leaves a model whose inversions start from the encoder."""

from typing import Any

import pytest
import torch
from recipe_trial import output, tensor, work
from training_trial import drained, put_picture, stopped_at
from worker_trial import Trial

from gpu_ops.encoder import Encoder
from gpu_ops.training import encoder as training
from storage.records import Status
from workers.models import Models
from workers.release import digest_of

pytestmark = pytest.mark.thorough

SPEC: dict[str, Any] = {"name": "quick", "steps": 4, "batch": 2, "warm_up": 1}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shape that a model gets by default is for pictures of a service, not of a test."""
    whole = training.encoder_for
    shape = {"width": 8, "widest": 16, "pyramid": 8}
    monkeypatch.setattr(
        "workers.recipes.train_encoder.encoder_for", lambda bundle, seed: whole(bundle, seed=seed, **shape)
    )


def test_it_leaves_a_model_that_inverts_from_its_encoder(plant: Trial, picture: str) -> None:
    before = plant.stores.library.get_model("local", "cars")
    job = work(plant, "train_encoder", images=[picture, put_picture(plant, 1)], **SPEC)
    assert job.status is Status.SUCCEEDED, job.error
    assert sorted(job.outputs) == ["encoder.safetensors", "model.json", "provenance.json"]
    assert (job.result["steps"], job.result["new_model"]) == (4, "quick")
    assert {"psnr_samples_db", "psnr_images_db"} <= job.result.keys()

    model = plant.stores.library.get_model("local", "quick")
    assert model.digest == job.result["new_model_digest"] != before.digest
    assert model.digest == digest_of({role: ref.sha256 for role, ref in model.files.items()})
    assert {role: model.files[role] for role in ("generator", "segmenter", "judge", "perceptual")} == {
        role: before.files[role] for role in ("generator", "segmenter", "judge", "perceptual")
    }
    assert (model.parts, model.groups) == (before.parts, before.groups)
    bundle = Models(plant.stores.objects, plant.settings).bundle(model)
    assert isinstance(bundle.encoder, Encoder)
    assert not any(parameter.requires_grad for parameter in bundle.encoder.parameters())

    inversion = work(plant, "invert", model="quick", image=picture, steps=1)
    assert inversion.result["start"] == "encoder"
    other = work(plant, "invert", image=picture, steps=1)
    assert not torch.equal(tensor(plant, inversion, "w_plus"), tensor(plant, other, "w_plus"))


def test_without_a_name_the_tenant_s_own_model_of_that_name_takes_the_system_s_place(plant: Trial) -> None:
    job = work(plant, "train_encoder", **{**SPEC, "name": None, "steps": 1})
    assert job.status is Status.SUCCEEDED, job.error
    assert job.result["psnr_images_db"] is None
    model = plant.stores.library.get_model("local", "cars")
    assert (model.tenant_id, "encoder" in model.files) == ("local", True)
    assert "encoder" not in plant.stores.library.get_model("other", "cars").files


@pytest.mark.thorough
def test_drained_again_and_again_it_leaves_the_same_encoder(
    plant: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SPEC | {"images": [put_picture(plant, 1)]}
    whole = work(plant, "train_encoder", **spec)
    job, steps = drained(plant, monkeypatch, (1, 3), "train_encoder", **spec)
    assert job.status is Status.SUCCEEDED, job.error
    assert (job.drains, steps) == (2, [1, 2, 3, 4])
    name = "encoder.safetensors"
    assert output(plant, job, name) == output(plant, whole, name)


def test_stopped_it_leaves_what_it_has_learned(plant: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    job = stopped_at(plant, monkeypatch, 2, "train_encoder", **(SPEC | {"steps": 50}))
    assert job.status is Status.SUCCEEDED, job.error
    assert (job.result["steps"], job.result["stopped_early"]) == (2, True)


def test_a_picture_that_is_not_there_ends_it(plant: Trial) -> None:
    error = work(plant, "train_encoder", images=["0" * 32], **SPEC).error
    assert error is not None
    assert error["code"] == "image_not_found"
