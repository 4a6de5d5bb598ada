"""learn_vector and apply on a tiny random model, over the in-memory stores."""

import dataclasses
import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from recipe_trial import RELABEL, output, pixels, tensor, work
from safetensors.torch import load
from tiny_model import SIZE_PX
from worker_trial import Trial

from gpu_ops.refine import look
from storage.library_records import Vector
from storage.records import Job, Status, new_id
from workers.recipes import views

pytestmark = pytest.mark.thorough

OPERATIONS = [{"op": "shift", "part": "rim", "dx_px": 3}]
TARGET = {"name": "rims to the right", "tags": ["wheel"], "mask_operations": OPERATIONS}
BRIEF = {"steps": 3, "transfer_samples": 0, "lr": 0.3, "lambda_rgb": 0, "lambda_prior": 0}


def learn(trial: Trial, *targets: dict[str, Any], **spec: Any) -> Job:
    job = work(trial, "learn_vector", targets=list(targets or (TARGET,)), **{"seed": 1, **BRIEF, **spec})
    assert job.status is Status.SUCCEEDED, job.error
    return job


def apply(trial: Trial, *uses: dict[str, Any], **spec: Any) -> Job:
    job = work(trial, "apply", vectors=list(uses), **spec)
    assert job.status is Status.SUCCEEDED, job.error
    return job


def test_a_free_core_changes_no_byte(plant: Trial) -> None:
    """The points' looks are drawn in another thread then; threads=1 of the plant leaves no core free."""
    (vector,) = vectors(plant, learn(plant))
    spec: dict[str, Any] = {"inputs": [{"seed": 3}, {"seed": 4}], "sweep": [0, 1.5]}
    alone = apply(plant, {"vector": vector.id}, **spec)
    views._kept.clear()
    plant.settings = plant.settings.model_copy(update={"threads": 0})
    beside = apply(plant, {"vector": vector.id}, **spec)
    names = [name for name in alone.outputs if name != "provenance.json"]
    assert list(alone.outputs) == list(beside.outputs)
    for name in names:
        one, other = output(plant, alone, name), output(plant, beside, name)
        assert pixels(one) == pixels(other) if name.endswith(".png") else one == other, name


def vectors(trial: Trial, job: Job) -> list[Vector]:
    return [trial.stores.library.get_vector("local", told["id"]) for told in job.result["vectors"]]


def test_a_learned_vector_is_in_the_library_with_its_example(plant: Trial) -> None:
    job = learn(plant)
    (vector,) = vectors(plant, job)
    assert (vector.name, vector.tags, vector.q_edit) == (TARGET["name"], ("wheel",), ("rim",))
    assert (vector.job_id, vector.model_digest) == (job.id, job.result["model_digest"])
    delta_w = load(plant.stores.objects.get(vector.files["delta_w"]))["delta_w"]
    assert delta_w.shape == tensor(plant, job, "w_plus").shape[1:]
    assert delta_w.dtype == torch.float32
    assert float(delta_w.abs().max()) > 0
    assert vector.facts["metrics"]["steps"] == 3
    assert vector.facts["weights"]["prior"] == 0
    assert vector.facts["target"]["mask_operations"][0]["dx_px"] == 3
    assert vector.report == {}
    with Pillow.open(io.BytesIO(plant.stores.objects.get(vector.files["after"]))) as image:
        assert json.loads(image.info["editq"])["vectors"] == [vector.id]


def test_applied_at_strength_one_it_gives_the_learned_picture_and_at_zero_the_inversion(plant: Trial) -> None:
    (vector,) = vectors(plant, learn(plant))
    job = apply(plant, {"vector": vector.id}, seed=1, sweep=[1.0, 0.0])
    for name, role in (("picture_000_00.png", "after"), ("picture_000_01.png", "before")):
        learned = plant.stores.objects.get(vector.files[role])
        assert pixels(output(plant, job, name)) == pixels(learned)
    assert pixels(output(plant, job, "picture_000_00.png")) != pixels(
        output(plant, job, "picture_000_01.png")
    )
    assert job.result["inputs"][0]["sweep"][1]["why"] == "every strength is 0"


def test_a_picture_that_vectors_are_applied_to_again_is_not_drawn_again(
    plant: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    (vector,) = vectors(plant, learn(plant))
    drawn: list[int] = []
    monkeypatch.setattr(views, "look", lambda *asked: drawn.append(1) or look(*asked))
    jobs = [apply(plant, {"vector": vector.id, "strength": s}, seed=77) for s in (1, 2)]
    assert len(drawn) == 1
    first, again = (pixels(output(plant, job, "inverted_000.png")) for job in jobs)
    assert first == again
    apply(plant, {"vector": vector.id}, seed=78)
    assert len(drawn) == 2


def test_the_order_of_vectors_changes_no_byte(plant: Trial) -> None:
    job = learn(plant, TARGET, {**TARGET, "name": "other", "mask_operations": RELABEL}, steps=4)
    one, other = ({"vector": vector.id, "strength": 0.7} for vector in vectors(plant, job))
    first, second = (apply(plant, *uses, seed=3) for uses in ((one, other), (other, one)))
    assert torch.equal(tensor(plant, first, "delta_w"), tensor(plant, second, "delta_w"))
    assert float(tensor(plant, first, "delta_w").abs().max()) > 0
    assert "filmstrip_000.png" not in first.outputs  # of one picture
    for name in ("picture_000_00.png", "mask_000_00.png"):
        assert pixels(output(plant, first, name)) == pixels(output(plant, second, name))


def test_a_vector_between_two_pictures_leads_from_one_to_the_other(plant: Trial) -> None:
    before, after = (work(plant, "sample", seed=seed) for seed in (1, 2))
    given = {"name": "one to two", "after": {"inversion": after.id}}
    (vector,) = vectors(plant, learn(plant, given, seed=None, inversion=before.id))
    job = apply(plant, {"vector": vector.id}, inversion=before.id)
    codes = tensor(plant, job, "w_plus") + tensor(plant, job, "delta_w")[:, 0]
    torch.testing.assert_close(codes, tensor(plant, after, "w_plus"), rtol=0, atol=1e-5)
    assert vector.q_edit  # found by itself


def test_pairs_are_averaged(plant: Trial) -> None:
    pairs = [{"before": {"seed": seed}, "after": {"seed": seed + 1}} for seed in (1, 5)]
    job = learn(plant, {"name": "mean", "pairs": pairs}, seed=None)
    codes = {seed: tensor(plant, work(plant, "sample", seed=seed), "w_plus") for seed in (1, 2, 5, 6)}
    mean = ((codes[2] - codes[1]) + (codes[6] - codes[5])) / 2
    learned = load(output(plant, job, "vector_00_delta_w.safetensors"))["delta_w"]
    torch.testing.assert_close(learned, mean[0], rtol=0, atol=1e-6)


def test_several_vectors_from_one_upload_are_as_if_learned_alone(plant: Trial, picture: str) -> None:
    given = {"seed": None, "image": picture, "inversion_steps": 3}
    other = {**TARGET, "name": "other", "mask_operations": RELABEL}
    both = vectors(plant, learn(plant, TARGET, other, **given))
    assert [vector.name for vector in both] == [TARGET["name"], "other"]
    (alone,) = vectors(plant, learn(plant, other, **given))
    assert plant.stores.objects.get(alone.files["delta_w"]) == plant.stores.objects.get(
        both[1].files["delta_w"]
    )
    assert both[1].facts["inversion"]["steps"] == 3


def test_a_vector_learned_on_samples_too_is_another_one(plant: Trial) -> None:
    alone, wider = (vectors(plant, learn(plant, samples=count))[0] for count in (0, 2))
    one, other = (plant.stores.objects.get(vector.files["delta_w"]) for vector in (alone, wider))
    assert one != other
    assert wider.facts["samples"] == 2


def test_a_report_is_measured_and_kept(plant: Trial) -> None:
    job = learn(plant, transfer_samples=2)
    (vector,) = vectors(plant, job)
    report = vector.report
    assert report["samples"] == 2
    assert [row["strength"] for row in report["strengths"]] == [-1.0, -0.5, 0.5, 1.0, 1.5, 2.0]
    assert isinstance(report["refinement_advised"], bool)
    assert json.loads(plant.stores.objects.get(vector.files["report"])) == report


def test_a_list_and_a_sweep_leave_a_picture_and_a_mask_each(plant: Trial) -> None:
    (vector,) = vectors(plant, learn(plant))
    inputs = [{"seed": 1}, {"seed": 9, "truncation_psi": 0.5}]
    job = apply(plant, {"vector": vector.id, "strength": 2}, inputs=inputs, sweep=[-0.5, 0.5, 1])
    assert tensor(plant, job, "delta_w").shape[:2] == (2, 3)
    assert [each["seed"] for each in job.result["inputs"]] == [1, 9]
    with Pillow.open(io.BytesIO(output(plant, job, "filmstrip_001.png"))) as image:
        times = 128 // SIZE_PX
        assert image.size == (3 * 128 + 4, 2 * 128 + 2)
        cell = np.asarray(image)[:128:times, 2 * (128 + 2) :: times]
    assert cell.tobytes() == pixels(output(plant, job, "picture_001_02.png"))
    assert {
        f"mask_{row:03d}_{column:02d}.png" for row in range(2) for column in range(3)
    } <= job.outputs.keys()


@pytest.mark.parametrize(("mode", "steps"), [("refinement", 2), ("optimisation", 3)])
def test_optimising_never_changes_more_of_the_rest(plant: Trial, mode: str, steps: int) -> None:
    (vector,) = vectors(plant, learn(plant, steps=6))
    asked = {"mode": mode, "refine_steps": 2, "steps": 3}
    job = apply(plant, {"vector": vector.id, "strength": 3}, seed=4, **asked)
    (told,) = job.result["inputs"][0]["sweep"]
    assert told["steps"] == steps
    kept_db, vector_db = (told[name] for name in ("psnr_outside_db", "psnr_outside_vector_db"))
    assert kept_db is None or kept_db >= vector_db  # None: nothing changed there
    assert told["mode"] in (mode, "vector")


@pytest.mark.parametrize("mode", ["vector", "refinement", "optimisation"])
def test_a_vector_that_does_not_say_what_it_is_about_is_applied_too(plant: Trial, mode: str) -> None:
    """An imported one, say: the parts that it changes are taken for those."""
    (vector,) = vectors(plant, learn(plant))
    members = {name: getattr(vector, name) for name in Vector.__dataclass_fields__}
    plant.stores.library.put_vector(Vector(**{**members, "q_edit": (), "report": {}}))
    job = apply(plant, {"vector": vector.id, "strength": 2}, seed=4, mode=mode, steps=3)
    assert job.result["q_edit"] == []
    assert pixels(output(plant, job, "picture_000_00.png")) != pixels(output(plant, job, "inverted_000.png"))


def test_an_amount_of_change_becomes_a_strength_by_the_report(plant: Trial) -> None:
    (vector,) = vectors(plant, learn(plant))
    known = {"table": [[0.0, 0.0], [1.0, 0.5], [2.0, 0.8]], "measure": {"kind": "growth", "name": "rim"}}
    plant.stores.library.put_vector(vector_with(vector, known))
    job = apply(plant, {"vector": vector.id, "amount": "+25 %"}, seed=1)
    assert job.result["vectors"][0]["strength"] == 0.5
    refused = work(plant, "apply", vectors=[{"vector": vector.id, "amount": "+90 %"}], seed=1)
    assert refused.error is not None
    assert (refused.error["code"], refused.error["field"]) == ("amount_unreachable", "vectors.0.amount")
    assert "+80.0 %" in refused.error["detail"]


def vector_with(vector: Vector, report: dict[str, Any]) -> Vector:
    members = {name: getattr(vector, name) for name in Vector.__dataclass_fields__}
    return Vector(**{**members, "report": report})


def test_what_was_applied_can_be_edited_on(plant: Trial) -> None:
    (vector,) = vectors(plant, learn(plant))
    applied = apply(plant, {"vector": vector.id}, seed=1, sweep=[0.5, 2])
    edited = work(plant, "edit", inversion=applied.id, steps=1, mask_operations=RELABEL)
    assert edited.status is Status.SUCCEEDED, edited.error
    began = tensor(plant, applied, "w_plus") + tensor(plant, applied, "delta_w")[:, 0]
    assert torch.equal(tensor(plant, edited, "w_plus"), began)


def test_a_vector_of_another_generator_or_nobody_is_refused(plant: Trial) -> None:
    (vector,) = vectors(plant, learn(plant))
    members = {name: getattr(vector, name) for name in Vector.__dataclass_fields__}
    plant.stores.library.put_vector(Vector(**{**members, "generator_sha256": "e" * 64}))
    for vector_id, code in ((vector.id, "invalid_input"), ("0" * 32, "vector_not_found")):
        job = work(plant, "apply", vectors=[{"vector": vector_id}], seed=1)
        assert job.error is not None
        assert job.error["code"] == code


def test_a_vector_fits_its_generator_under_another_segmenter(plant: Trial) -> None:
    (vector,) = vectors(plant, learn(plant))
    model = plant.stores.library.get_model("local", "cars")
    again = dataclasses.replace(model, id=new_id(), tenant_id="local", digest="e" * 64)
    plant.stores.library.put_model(again)
    job = apply(plant, {"vector": vector.id}, seed=1)
    assert (job.status, job.result["model_digest"]) == (Status.SUCCEEDED, "e" * 64)
