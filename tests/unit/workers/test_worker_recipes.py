"""sample, invert and edit on a tiny random model, over the in-memory stores."""

import io
import json

import numpy as np
import torch
from PIL import Image as Pillow
from recipe_trial import RELABEL, output, pixels, tensor, upload, work
from tiny_model import PARTS, SIZE_PX
from worker_trial import Trial

from storage.library_records import Part
from storage.masks import decode_mask, encode_mask
from storage.records import Status


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
    assert (job.result["q_edit"], job.result["precision"]) == (["rim", "tyre"], "float32")
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
