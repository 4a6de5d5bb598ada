"""train_segmenter, suggest_annotations, train_generator and evaluate on a tiny random model."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch
from recipe_trial import RELABEL, output, pixels, work
from safetensors.torch import save
from tiny_model import SIZE_PX
from training_trial import annotations, drained, put_mask, put_picture, quadrants, stopped_at
from worker_trial import Trial

from gpu_ops.training.generator import train
from gpu_ops.training.pictures import Pictures
from gpu_ops.training.state import TrainingState
from storage.errors import ModelNotFound
from storage.library_records import Vector
from storage.masks import decode_mask
from storage.objects import output_key
from storage.records import Status, new_id
from storage.training_specs import TrainGeneratorSpec
from workers.models import Models
from workers.recipes.train_generator import configuration
from workers.release import digest_of

pytestmark = pytest.mark.thorough

LEARN: dict[str, Any] = {"name": "mine", "inversion_steps": 3, "steps": 4, "classifiers": 2, "folds": 2}
DRAW: dict[str, Any] = {
    **{"name": "drawn", "resolution_px": 32, "kimg": 0.024, "batch": 4, "channel_base": 128},
    **{"channel_max": 8, "w_dim": 8, "mapping_layers": 2, "ada_target": 0.1, "ada_kimg": 0.1},
}


def test_a_segmenter_is_learned_and_leaves_a_model_that_edits(plant: Trial) -> None:
    job = work(plant, "train_segmenter", annotations=annotations(plant), **LEARN)
    assert job.status is Status.SUCCEEDED, job.error
    each = [
        f"{kind}_{i:03d}.png" for kind in ("mask", "picture", "predicted", "uncertainty") for i in range(4)
    ]
    assert sorted(job.outputs) == sorted(
        [*each, "model.json", "provenance.json", "segmenter.safetensors", "w_plus.safetensors"]
    )
    assert 0 <= job.result["miou"] <= 1
    assert (job.result["folds"], job.result["held_out"], job.result["steps"]) == (2, 4, 4)
    assert job.result["iou"].keys() == {"sky", "body", "tyre", "rim"}

    before = plant.stores.library.get_model("local", "cars")
    model = plant.stores.library.get_model("local", "mine")
    assert (model.tenant_id, model.digest) == ("local", job.result["new_model_digest"])
    assert model.digest == digest_of({role: ref.sha256 for role, ref in model.files.items()})
    assert model.files["generator"] == before.files["generator"]
    assert model.files["segmenter"] == job.outputs["segmenter.safetensors"]
    assert model.card["made_from"] == {"model": "cars", "digest": before.digest}
    edited = work(plant, "edit", model="mine", inversion=work(plant, "sample", model="mine").id, steps=1,
                  mask=put_mask(plant, quadrants(5)))  # fmt: skip
    assert edited.status is Status.SUCCEEDED, edited.error
    with pytest.raises(ModelNotFound):
        plant.stores.library.get_model("other", "mine")


def test_new_parts_are_named_and_the_judge_of_the_old_ones_stays_behind(plant: Trial) -> None:
    shown = [{"seed": seed, "mask": put_mask(plant, quadrants(seed, count=2))} for seed in range(3)]
    spec = LEARN | {"parts": ["ground", "thing"], "groups": {"all": ["ground", "thing"]}, "folds": 0}
    job = work(plant, "train_segmenter", annotations=shown, **spec)
    assert job.status is Status.SUCCEEDED, job.error
    model = plant.stores.library.get_model("local", "mine")
    assert [part.name for part in model.parts] == ["ground", "thing"]
    assert model.groups == {"all": ("ground", "thing")}
    assert "judge" not in model.files
    assert (job.result["miou"], job.result["folds"]) == (None, 0)
    bundle = Models(plant.stores.objects, plant.settings).bundle(model)
    assert bundle.segmenter.config.parts == 2


def test_a_training_drained_in_every_stage_leaves_the_same_segmenter_and_figures(
    plant: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = LEARN | {"annotations": annotations(plant, uploads=1, samples=3)}
    whole = work(plant, "train_segmenter", **spec)
    cut, steps = drained(plant, monkeypatch, [2, 5, 7, 9, 13], "train_segmenter", **spec)
    assert (cut.status, cut.drains) == (Status.SUCCEEDED, 5), cut.error
    assert steps == list(range(1, 3 + 3 * 4 + 1)), "inverting, training, two folds: nothing is done twice"
    same = {"segmenter.safetensors", "w_plus.safetensors"}
    assert all(output(plant, cut, name) == output(plant, whole, name) for name in same)
    own = {"seconds", "new_model_digest"}
    figures = [{k: v for k, v in job.result.items() if k not in own} for job in (cut, whole)]
    assert figures[0] == figures[1]
    for index in range(4):
        name = f"uncertainty_{index:03d}.png"
        assert pixels(output(plant, cut, name)) == pixels(output(plant, whole, name))


def test_stopped_in_its_training_it_keeps_the_segmenter_and_measures_nothing(
    plant: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = annotations(plant, uploads=0)
    job = stopped_at(plant, monkeypatch, 2, "train_segmenter", **LEARN | {"steps": 50, "annotations": shown})
    assert job.status is Status.SUCCEEDED, job.error
    assert (job.result["steps"], job.result["folds"], job.result["miou"]) == (2, 0, None)
    assert job.result["stopped_early"] is True


def test_the_masks_learned_from_are_cut_as_their_pictures_are_and_lose_their_specks(plant: Trial) -> None:
    wide = np.zeros((2 * SIZE_PX, 3 * SIZE_PX), np.uint8)
    wide[:, : 3 * SIZE_PX // 2] = 1
    speck = quadrants(0)
    speck[3, 3] = 3
    shown = [
        {"image": put_picture(plant, 1, (3 * SIZE_PX, 2 * SIZE_PX)), "mask": put_mask(plant, wide)},
        {"seed": 1, "mask": put_mask(plant, speck)},
    ]
    job = work(plant, "train_segmenter", annotations=shown, **LEARN | {"folds": 0})
    assert job.status is Status.SUCCEEDED, job.error
    halves = decode_mask(output(plant, job, "mask_000.png"))
    assert np.array_equal(halves, np.repeat([[1] * 16 + [0] * 16], SIZE_PX, axis=0))
    assert np.array_equal(decode_mask(output(plant, job, "mask_001.png")), quadrants(0))


def test_a_mask_of_unknown_parts_is_named(plant: Trial) -> None:
    shown = annotations(plant, uploads=0)
    shown[2]["mask"] = put_mask(plant, quadrants(0) + 9)
    job = work(plant, "train_segmenter", annotations=shown, **LEARN)
    assert job.error is not None
    assert (job.error["code"], job.error["field"]) == ("mask_mismatch", "annotations.2.mask")


def test_suggestions_are_the_unsure_samples_and_no_two_alike(
    plant: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = {"samples": 6, "count": 3, "seed": 4}
    job = work(plant, "suggest_annotations", **spec)
    assert job.status is Status.SUCCEEDED, job.error
    found = job.result["suggestions"]
    assert len({each["seed"] for each in found}) == 3
    assert {each["seed"] for each in found} <= set(range(4, 10))
    assert found[0]["uncertainty"] == max(each["uncertainty"] for each in found) > 0
    assert job.result["by"] == "uncertainty and distance"
    sampled = work(plant, "sample", seed=found[1]["seed"])
    assert pixels(output(plant, job, "picture_001.png")) == pixels(output(plant, sampled, "picture_000.png"))
    cut, steps = drained(plant, monkeypatch, [2, 5], "suggest_annotations", **spec)
    assert (cut.result["suggestions"], steps) == (found, [1, 2, 3, 4, 5, 6])


def test_a_generator_is_trained_and_its_model_says_what_it_needs_next(plant: Trial) -> None:
    images = [put_picture(plant, seed) for seed in range(3)]
    job = work(plant, "train_generator", images=images, mirror=True, **DRAW)
    assert job.status is Status.SUCCEEDED, job.error
    assert sorted(job.outputs) == ["generator.safetensors", "model.json", "provenance.json", "samples.png"]
    assert (job.result["steps"], job.result["kimg"], job.result["pictures"]) == (6, 0.024, 3)
    model = plant.stores.library.get_model("local", "drawn")
    assert model.files.keys() == {"generator", "perceptual", "description"}
    assert model.files["perceptual"] == plant.stores.library.get_model("local", "cars").files["perceptual"]
    assert model.card["needs"] == job.result["needs"] == "train_segmenter"

    sampled = work(plant, "sample", model="drawn")
    assert sampled.status is Status.SUCCEEDED, sampled.error
    assert not decode_mask(output(plant, sampled, "mask_000.png")).any()
    refused = work(plant, "edit", model="drawn", inversion=sampled.id, mask_operations=RELABEL)
    assert refused.error is not None
    assert (refused.error["code"], refused.error["field"]) == ("model_incomplete", "model")
    suggested = work(plant, "suggest_annotations", model="drawn", samples=3, count=2)
    assert suggested.result["by"] == "distance"
    nobody = work(plant, "train_segmenter", model="drawn", annotations=annotations(plant), **LEARN)
    assert nobody.error is not None
    assert (nobody.error["code"], nobody.error["field"]) == ("invalid_input", "parts")


def test_a_generators_training_that_was_drained_goes_on_to_the_same_numbers(
    plant: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = DRAW | {"images": [put_picture(plant, seed) for seed in range(3)]}
    whole = work(plant, "train_generator", **spec)
    cut, steps = drained(plant, monkeypatch, [1, 5], "train_generator", **spec)
    assert (cut.status, cut.drains) == (Status.SUCCEEDED, 2), cut.error
    assert steps == [1, 2, 3, 4, 5, 6]
    weights = "generator.safetensors"
    assert output(plant, cut, weights) == output(plant, whole, weights)
    assert cut.result["losses"] == whole.result["losses"]


def test_the_job_trains_as_the_command_does(plant: Trial) -> None:
    """The same pictures and settings through gpu_ops alone give the same generator."""
    images = [put_picture(plant, seed, (32, 32)) for seed in range(3)]
    job = work(plant, "train_generator", images=images, **DRAW)
    shown = np.stack(
        [np.random.default_rng(seed).integers(0, 255, (32, 32, 3), dtype=np.uint8) for seed in range(3)]
    )
    state = TrainingState(configuration(TrainGeneratorSpec(images=tuple(images), **DRAW)))
    for _ in train(state, Pictures(shown), 6):
        pass
    model = plant.stores.library.get_model("local", "drawn")
    learned = Models(plant.stores.objects, plant.settings).bundle(model).generator
    assert job.result["augment_p"] == state.augmentation.p
    for name, tensor in state.average.state_dict().items():
        assert torch.equal(learned.state_dict()[name], tensor), name


def test_gamma_is_scaled_to_resolution_and_batch() -> None:
    spec = TrainGeneratorSpec(name="x", images=("0" * 32, "1" * 32), resolution_px=64, batch=16)
    assert configuration(spec).gamma == pytest.approx(0.0512)
    assert configuration(spec.model_copy(update={"gamma": 3.0})).gamma == 3.0


def vector(trial: Trial, **changes: Any) -> str:
    """The id of a vector of the small model, put into the library."""
    delta_w = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    key = output_key("local", new_id(), 1, "delta_w.safetensors")
    ref = trial.stores.objects.put(key, save({"delta_w": delta_w}), "application/octet-stream")
    model = trial.stores.library.get_model("local", "cars")
    row = Vector(
        id=new_id(), tenant_id="local", name="louder", model="cars", model_digest=model.digest,
        generator_sha256=model.generator_sha256, editing_type="other", tags=(), q_edit=("rim",),
        files={"delta_w": ref}, facts={}, report={},
        job_id=None, created_at=0.0,
    )  # fmt: skip
    return trial.stores.library.put_vector(dataclasses.replace(row, **changes)).id


def test_an_evaluation_says_by_which_features_it_measured(plant: Trial) -> None:
    images = [put_picture(plant, seed) for seed in range(3)]
    job = work(plant, "evaluate", images=images, samples=4, kid_subsets=2, vector=vector(plant))
    assert job.status is Status.SUCCEEDED, job.error
    assert job.result["features"] == "random"
    assert (job.result["pictures"], job.result["samples"], job.result["kid_subset_size"]) == (3, 4, 3)
    assert job.result["fid"] > 0
    assert {"before_003.png", "after_003.png", "provenance.json"} <= job.outputs.keys()
    told = json.loads(output(plant, job, "provenance.json"))
    assert told["result"]["kid_mean"] == job.result["kid_mean"]
    assert told["vectors"] == [job.spec["vector"]]


def test_an_attribute_that_nobody_reads_is_refused(plant: Trial) -> None:
    job = work(plant, "evaluate", samples=2, attribute="expression=smiling")
    assert job.error is not None
    assert job.error["code"] == "model_incomplete"


def test_a_vector_of_another_generator_is_refused(plant: Trial) -> None:
    job = work(plant, "evaluate", samples=2, vector=vector(plant, generator_sha256="e" * 64))
    assert job.error is not None
    assert (job.error["code"], job.error["field"]) == ("invalid_input", "vector")
