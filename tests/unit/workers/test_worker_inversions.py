"""Inversions as jobs: found again, tuned, warned of; on a tiny random model over the in-memory stores."""

import dataclasses
import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from recipe_trial import RELABEL, output, pixels, submit, tensor, work
from safetensors.torch import load
from worker_trial import Trial

from storage.records import Job, Status, new_id
from workers.bench import recipe_for

pytestmark = pytest.mark.thorough

SPEC: dict[str, Any] = {"steps": 3, "min_psnr_db": 0}


def done(trial: Trial, kind: str, **spec: Any) -> Job:
    job = work(trial, kind, **spec)
    assert job.status is Status.SUCCEEDED, job.error
    return job


def steps_told(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every step of every job from now on."""
    told: list[int] = []
    publish = trial.stores.progress.publish

    def listening(job_id: str, message: Any) -> None:
        publish(job_id, message)
        if message["type"] == "progress":
            told.append(message["step"])

    monkeypatch.setattr("workers.follow.PUBLISH_EVERY_S", 0.0)
    monkeypatch.setattr(trial.stores.progress, "publish", listening)
    return told


def test_the_same_inversion_is_taken_over_and_says_so(
    plant: Trial, picture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = done(plant, "invert", image=picture, **SPEC)
    told = steps_told(plant, monkeypatch)
    again = done(plant, "invert", image=picture, **SPEC)
    assert told == []
    assert "reused" not in first.result
    assert again.result["reused"] == first.id
    figures = ("steps", "psnr_db", "loss_first", "loss_last", "start")
    assert [again.result[name] for name in figures] == [first.result[name] for name in figures]
    assert torch.equal(tensor(plant, again, "w_plus"), tensor(plant, first, "w_plus"))
    for name in ("inverted.png", "mask.png"):
        assert pixels(output(plant, again, name)) == pixels(output(plant, first, name))
    with Pillow.open(io.BytesIO(output(plant, again, "inverted.png"))) as image:
        assert json.loads(image.info["editq"])["job_id"] == again.id


@pytest.mark.parametrize(
    "other",
    [
        {"steps": 4},
        {"lr": 0.05},
        {"patience": 2},
        {"lambda_prior": 0.1},
        {"tune_steps": 1},
        {"reuse": False},
        {"box": True},
    ],
)
def test_another_setting_is_another_inversion(plant: Trial, picture: str, other: dict[str, Any]) -> None:
    done(plant, "invert", image=picture, **SPEC)
    if "box" in other:
        other = {"box": {"x": 0, "y": 0, "size": 20}}
    assert "reused" not in done(plant, "invert", image=picture, **(SPEC | other)).result


def test_settings_that_change_no_number_do_not_matter(plant: Trial, picture: str) -> None:
    first = done(plant, "invert", image=picture, **SPEC)
    spelled = SPEC | {"lr": 0.1, "start": "w_avg", "min_psnr_db": 99, "box": {"x": 4, "y": 0, "size": 40}}
    assert done(plant, "invert", image=picture, **spelled).result["reused"] == first.id


def test_an_edit_takes_over_the_inversion_of_another_job(
    plant: Trial, picture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inversion = done(plant, "invert", image=picture, **SPEC)
    told = steps_told(plant, monkeypatch)
    edited = done(plant, "edit", image=picture, inversion_steps=3, steps=2, mask_operations=RELABEL)
    assert edited.result["reused"] == inversion.id
    assert len(told) == 2
    assert torch.equal(tensor(plant, edited, "w_plus"), tensor(plant, inversion, "w_plus"))


def test_an_inversion_found_for_an_edit_is_taken_over_by_a_later_job(plant: Trial, picture: str) -> None:
    edited = done(plant, "edit", image=picture, inversion_steps=3, steps=2, mask_operations=RELABEL)
    again = done(plant, "invert", image=picture, **SPEC)
    assert again.result["reused"] == edited.id
    assert again.result["psnr_db"] == edited.result["inversion_psnr_db"]


def test_one_that_was_stopped_is_not_taken_over(plant: Trial, picture: str) -> None:
    job = submit(plant, "invert", image=picture, **SPEC)
    publish = plant.stores.progress.publish

    def stop(job_id: str, message: Any) -> None:
        publish(job_id, message)
        if message["type"] == "progress" and message["step"] == 1:
            plant.stores.jobs.request_stop("local", job.id)
            plant.stores.progress.notice_cancel(job.id)

    plant.stores.progress.publish = stop  # type: ignore[method-assign]
    plant.take(recipe_for("invert"), lease_s=30)
    plant.stores.progress.publish = publish  # type: ignore[method-assign]
    assert plant.get(job).result["stopped_early"] is True
    assert "reused" not in done(plant, "invert", image=picture, **SPEC).result


def test_one_whose_objects_are_gone_is_made_again(plant: Trial, picture: str) -> None:
    first = done(plant, "invert", image=picture, **SPEC)
    plant.stores.objects.delete([first.outputs["w_plus.safetensors"].key])
    assert "reused" not in done(plant, "invert", image=picture, **SPEC).result


def test_a_poor_inversion_carries_a_warning(plant: Trial, picture: str) -> None:
    poor = done(plant, "invert", image=picture, **(SPEC | {"min_psnr_db": 99}))
    (warning,) = poor.result["warnings"]
    assert warning["code"] == "inversion_poor"
    assert "less than 99" in warning["detail"]
    assert done(plant, "invert", image=picture, **SPEC).result["warnings"] == []


def test_a_tuned_inversion_is_kept_and_edits_start_from_it(plant: Trial, picture: str) -> None:
    inversion = done(plant, "invert", image=picture, **SPEC, tune_steps=3)
    assert inversion.result["tune_steps"] == 3
    assert inversion.result["psnr_db"] != inversion.result["psnr_untuned_db"]
    weights = output(plant, inversion, "tuned.safetensors")
    assert all(name.startswith("synthesis.") for name in load(weights))
    edited = done(plant, "edit", inversion=inversion.id, steps=2, mask_operations=RELABEL)
    assert pixels(output(plant, edited, "inverted.png")) == pixels(output(plant, inversion, "inverted.png"))
    assert output(plant, edited, "tuned.safetensors") == weights
    again = done(plant, "edit", inversion=edited.id, steps=2, mask_operations=RELABEL, q_edit=["wheel"])
    assert pixels(output(plant, again, "inverted.png")) == pixels(output(plant, edited, "edited.png"))
    reused = done(plant, "invert", image=picture, **SPEC, tune_steps=3)
    assert reused.result["reused"] == inversion.id
    assert output(plant, reused, "tuned.safetensors") == weights
    plain = done(plant, "invert", image=picture, **SPEC)
    assert "reused" not in plain.result
    assert np.array_equal(tensor(plant, plain, "w_plus"), tensor(plant, inversion, "w_plus"))


def test_an_encoder_that_the_model_lacks_is_named(plant: Trial, picture: str) -> None:
    job = work(plant, "invert", image=picture, start="encoder")
    assert job.error is not None
    assert job.error["code"] == "model_incomplete"


def test_an_inversion_is_forgotten_with_the_upload_that_it_was_made_from(plant: Trial, picture: str) -> None:
    library, objects = plant.stores.library, plant.stores.objects
    upload = library.get_image("local", picture)
    first = done(plant, "invert", image=picture, **SPEC)
    data = objects.get(upload.object)
    library.delete_image("local", picture)
    objects.put(upload.object.key, data, upload.object.media_type)
    again = library.add_image(dataclasses.replace(upload, id=new_id()))
    fresh = done(plant, "invert", image=again.id, **SPEC)
    assert "reused" not in fresh.result
    assert fresh.result["psnr_db"] == first.result["psnr_db"]
    assert done(plant, "invert", image=again.id, **SPEC).result["reused"] == fresh.id
