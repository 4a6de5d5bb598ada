"""sample, invert and edit on a tiny random model, over the in-memory stores."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from safetensors.torch import load
from tiny_model import PARTS, SIZE_PX
from worker_trial import Trial

from storage.masks import decode_mask, encode_mask
from storage.objects import image_key
from storage.records import Image, Job, Part, Status, new_id
from workers.bench import recipe_for
from workers.release import register_models

RELABEL = [{"op": "relabel", "part": "rim", "into": "tyre"}]


@pytest.fixture
def plant(trial: Trial, pretrained: Path) -> Trial:
    torch.set_num_threads(1)
    trial.settings = trial.settings.model_copy(update={"threads": 1})
    register_models(trial.stores, pretrained)
    return trial


def upload(trial: Trial, data: bytes, role: Any, size: tuple[int, int]) -> str:
    ref = trial.stores.objects.put(image_key("local", new_id() * 2), data, "image/png")
    return trial.stores.library.add_image(Image(new_id(), "local", role, ref, *size, None, 0.0)).id


@pytest.fixture
def picture(plant: Trial) -> str:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype=np.uint8)
    Pillow.fromarray(pixels).save(buffer, "PNG")
    return upload(plant, buffer.getvalue(), "picture", (48, 40))


def work(trial: Trial, kind: str, **spec: Any) -> Job:
    job = trial.stores.jobs.add("local", kind, {"kind": kind, "model": "cars", **spec})
    trial.take(recipe_for(kind), lease_s=30)
    return trial.get(job)


def output(trial: Trial, job: Job, name: str) -> bytes:
    return trial.stores.objects.get(job.outputs[name])


def pixels(data: bytes) -> bytes:
    with Pillow.open(io.BytesIO(data)) as image:
        return image.tobytes()


def tensor(trial: Trial, job: Job, name: str) -> torch.Tensor:
    return load(output(trial, job, f"{name}.safetensors"))[name]


def test_sample(plant: Trial) -> None:
    job = work(plant, "sample", seed=7, count=2)
    assert job.status is Status.SUCCEEDED, job.error
    assert sorted(job.outputs) == [
        *("mask_000.png", "mask_001.png", "picture_000.png", "picture_001.png", "w_plus.safetensors")
    ]
    assert tensor(plant, job, "w_plus").shape[0] == 2
    with Pillow.open(io.BytesIO(output(plant, job, "picture_001.png"))) as image:
        assert image.size == (SIZE_PX, SIZE_PX)
        told = json.loads(image.info["editq"])
    assert (told["seed"], told["job_id"], told["attempt"]) == (8, job.id, 1)
    assert told["model_digest"] == job.result["model_digest"]
    assert job.result["perceptual_backbone"] == "random"
    single = work(plant, "sample", seed=8)
    assert pixels(output(plant, single, "picture_000.png")) == pixels(output(plant, job, "picture_001.png"))


def test_invert(plant: Trial, picture: str) -> None:
    job = work(plant, "invert", image=picture, steps=4)
    assert job.status is Status.SUCCEEDED, job.error
    assert sorted(job.outputs) == ["input.png", "inverted.png", "mask.png", "w_plus.safetensors"]
    assert job.result == job.result | {"model": "cars", "steps": 4}
    assert job.result["loss_last"] <= job.result["loss_first"]
    assert job.result["psnr_db"] > 0


def test_edit_of_an_upload_by_operations(plant: Trial, picture: str) -> None:
    job = work(plant, "edit", image=picture, inversion_steps=3, steps=3, mask_operations=RELABEL)
    assert job.status is Status.SUCCEEDED, job.error
    assert sorted(job.outputs) == [
        *("delta_w.safetensors", "difference.png", "edited.png", "edited_mask.png", "input.png"),
        *("inverted.png", "mask.png", "provenance.json", "target_mask.png", "w_plus.safetensors"),
    ]
    target = decode_mask(output(plant, job, "target_mask.png"))
    assert PARTS.index("rim") not in target
    figures = {"iou_before", "iou_after", "judge_iou_before", "judge_iou_after", "psnr_outside_db"}
    figures |= {"lpips_outside", "loss_first", "loss_last", "perceptual_backbone", "seconds", "steps"}
    assert figures <= job.result.keys()
    assert job.result["q_edit"] == ["rim", "tyre"]
    assert json.loads(output(plant, job, "provenance.json"))["job_id"] == job.id


def test_edits_follow_one_another(plant: Trial) -> None:
    """From a sample, then from the edit: each begins where the one before ended."""
    sampled = work(plant, "sample", seed=1)
    first = work(plant, "edit", inversion=sampled.id, steps=2, mask_operations=RELABEL)
    assert first.status is Status.SUCCEEDED, first.error
    assert torch.equal(tensor(plant, first, "w_plus"), tensor(plant, sampled, "w_plus"))
    second = work(plant, "edit", inversion=first.id, steps=2, mask_operations=RELABEL, q_edit=["wheel"])
    assert second.status is Status.SUCCEEDED, second.error
    began = tensor(plant, first, "w_plus") + tensor(plant, first, "delta_w")
    assert torch.equal(tensor(plant, second, "w_plus"), began)
    assert second.result["q_edit"] == ["tyre", "rim"]


def test_an_edit_copies_a_part_from_an_uploaded_mask(plant: Trial) -> None:
    sampled = work(plant, "sample", seed=1)
    found = decode_mask(output(plant, sampled, "mask_000.png"))
    other = np.zeros_like(found)
    other[2:6, 3:9] = PARTS.index("rim")
    parts = [Part(index, name, (index, 0, 0)) for index, name in enumerate(PARTS)]
    mask = upload(plant, encode_mask(other, parts), "mask", (SIZE_PX, SIZE_PX))
    copy = [{"op": "remove", "part": "rim"}, {"op": "copy", "part": "rim", "mask": mask, "dx_px": 1}]
    job = work(plant, "edit", inversion=sampled.id, steps=2, mask_operations=copy)
    assert job.status is Status.SUCCEEDED, job.error
    target = decode_mask(output(plant, job, "target_mask.png")) == PARTS.index("rim")
    assert np.array_equal(target, np.roll(other, 1, axis=1) == PARTS.index("rim"))
    assert job.result["q_edit"] == ["rim"]


def test_a_mask_to_copy_from_that_does_not_fit_is_named(plant: Trial) -> None:
    sampled = work(plant, "sample", seed=1)
    data = encode_mask(np.zeros((8, 8), np.uint8), [Part(0, "sky", (1, 2, 3))])
    copy = [{"op": "copy", "part": "rim", "mask": upload(plant, data, "mask", (8, 8))}]
    job = work(plant, "edit", inversion=sampled.id, mask_operations=copy)
    assert job.error is not None
    assert (job.error["code"], job.error["field"]) == ("mask_mismatch", "mask_operations.0.mask")


def test_an_uploaded_mask_that_changes_nothing_fails_before_the_first_step(plant: Trial) -> None:
    sampled = work(plant, "sample", seed=1)
    same = upload(plant, output(plant, sampled, "mask_000.png"), "mask", (SIZE_PX, SIZE_PX))
    job = work(plant, "edit", inversion=sampled.id, mask=same)
    assert job.status is Status.FAILED
    assert job.error is not None
    assert job.error["code"] == "mask_unchanged"
    assert job.checkpoint is None


def test_a_mask_of_another_size_is_named(plant: Trial) -> None:
    sampled = work(plant, "sample", seed=1)
    data = encode_mask(np.zeros((8, 8), np.uint8), [Part(0, "sky", (1, 2, 3))])
    job = work(plant, "edit", inversion=sampled.id, mask=upload(plant, data, "mask", (8, 8)))
    assert job.error is not None
    assert (job.error["code"], job.error["field"]) == ("mask_mismatch", "mask")


def test_an_inversion_that_has_not_succeeded_is_refused(plant: Trial) -> None:
    failed = work(plant, "edit", inversion="0" * 32, mask_operations=RELABEL)
    assert failed.error is not None
    assert failed.error["code"] == "job_not_found"
    job = work(plant, "edit", inversion=failed.id, mask_operations=RELABEL)
    assert job.error is not None
    assert (job.error["code"], job.error["field"]) == ("invalid_input", "inversion")


@pytest.mark.parametrize("stop_at", [3, 7])
def test_an_edit_goes_on_after_a_drain_to_the_same_bits(
    plant: Trial, picture: str, stop_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drained while it inverts, and while it edits."""
    spec = {"image": picture, "inversion_steps": 5, "steps": 5, "mask_operations": RELABEL}
    whole = work(plant, "edit", **spec)
    assert whole.status is Status.SUCCEEDED, whole.error
    publish = plant.stores.progress.publish
    steps: list[int] = []

    def drain_at(stop: int) -> Callable[..., None]:
        def listening(job_id: str, message: Any) -> None:
            publish(job_id, message)
            if message["type"] == "progress":
                steps.append(message["step"])
                if message["step"] == stop:
                    plant.drain.ask()

        return listening

    monkeypatch.setattr("workers.follow.PUBLISH_EVERY_S", 0.0)
    monkeypatch.setattr(plant.stores.progress, "publish", drain_at(stop_at))
    drained = work(plant, "edit", **spec)
    assert drained.status is Status.QUEUED
    plant.drain.requested = False
    plant.take(recipe_for("edit"), lease_s=30)
    resumed = plant.get(drained)
    assert resumed.status is Status.SUCCEEDED, resumed.error
    assert steps == list(range(1, 11))
    assert torch.equal(tensor(plant, resumed, "delta_w"), tensor(plant, whole, "delta_w"))
    assert resumed.result["inversion_psnr_db"] == pytest.approx(whole.result["inversion_psnr_db"])
