"""Submitting trainings and evaluations: what they name is checked before a row is written."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from api_trial import SIZE_PX, Trial, car_mask, mask_png, picture, upload
from flask.testing import FlaskClient

from storage.annotations import UNLABELLED
from storage.library_records import Vector
from storage.masks import encode_mask
from storage.records import LOCAL_TENANT, ObjectRef, new_id

NOBODY = "f" * 32


def incomplete(trial: Trial) -> None:
    """A model of the caller's that was never annotated."""
    cars = trial.stores.library.get_model("local", "cars")
    files = {role: cars.files[role] for role in ("generator", "perceptual")}
    own = {"id": new_id(), "tenant_id": LOCAL_TENANT, "name": "drawn", "files": files}
    model = dataclasses.replace(cars, **own, parts=(UNLABELLED,), groups={})
    trial.stores.library.put_model(model)


def test_a_training_of_a_segmenter_is_accepted(client: FlaskClient, trial: Trial) -> None:
    mask = upload(client, mask_png(), "mask")
    whole = upload(client, mask_png(np.zeros((30, 40), np.uint8)), "mask")
    shown = [{"image": upload(client, picture()), "mask": whole}, {"seed": 7, "mask": mask}]
    body = {"kind": "train_segmenter", "name": "mine", "annotations": shown, "folds": 2}
    answer = client.post("/v1/jobs", json=body)
    assert answer.status_code == 202, answer.get_json()
    assert answer.get_json()["spec"]["classifiers"] == 10


@pytest.mark.parametrize(
    ("wrong", "field", "code"),
    [
        ({"mask": NOBODY}, "annotations.1.mask", "image_not_found"),
        ({"image": NOBODY, "seed": None}, "annotations.1.image", "image_not_found"),
        ({"mask": "picture"}, "annotations.1.mask", "invalid_input"),
        ({"mask": "small"}, "annotations.1.mask", "mask_mismatch"),
        ({"mask": "unknown"}, "annotations.1.mask", "mask_mismatch"),
    ],
)
def test_an_annotation_that_is_not_right_is_named(
    client: FlaskClient, trial: Trial, wrong: dict[str, Any], field: str, code: str
) -> None:
    named = {
        "picture": lambda: upload(client, picture()),
        "small": lambda: upload(client, mask_png(np.zeros((8, 8), np.uint8)), "mask"),
        "unknown": lambda: upload(client, mask_png(np.full((SIZE_PX, SIZE_PX), 9, np.uint8)), "mask"),
    }
    good = {"seed": 7, "mask": upload(client, mask_png(), "mask")}
    wrong = {name: named[value]() if value in named else value for name, value in wrong.items()}
    bad = {name: value for name, value in (good | wrong).items() if value is not None}
    body = {"kind": "train_segmenter", "name": "mine", "annotations": [good, bad], "folds": 0}
    problem = client.post("/v1/jobs", json=body).get_json()
    assert (problem["code"], problem["field"]) == (code, field)
    assert not trial.stores.jobs.list("local").items


def test_a_model_without_parts_asks_for_their_names(client: FlaskClient, trial: Trial) -> None:
    incomplete(trial)
    mask = upload(client, encode_mask(car_mask(), []), "mask")
    shown = [{"seed": seed, "mask": mask} for seed in (1, 2)]
    body = {"kind": "train_segmenter", "model": "drawn", "name": "drawn", "annotations": shown, "folds": 0}
    problem = client.post("/v1/jobs", json=body).get_json()
    assert (problem["code"], problem["field"]) == ("invalid_input", "parts")
    named = body | {"parts": ["sky", "body", "tyre", "rim"], "groups": {"wheel": ["tyre", "rim"]}}
    assert client.post("/v1/jobs", json=named).status_code == 202


def test_a_model_without_parts_refuses_edits_and_says_what_to_do(client: FlaskClient, trial: Trial) -> None:
    incomplete(trial)
    edit = {"kind": "edit", "model": "drawn", "image": upload(client, picture())}
    answer = client.post("/v1/jobs", json=edit | {"mask": upload(client, mask_png(), "mask")})
    problem = answer.get_json()
    assert (answer.status_code, problem["code"], problem["field"]) == (409, "model_incomplete", "model")
    assert "train a segmenter" in problem["detail"]
    for kind in ("sample", "suggest_annotations"):
        assert client.post("/v1/jobs", json={"kind": kind, "model": "drawn"}).status_code == 202


def test_a_training_of_a_generator_names_the_picture_that_is_missing(
    client: FlaskClient, trial: Trial
) -> None:
    images = [upload(client, picture()), NOBODY]
    body = {"kind": "train_generator", "name": "drawn", "images": images}
    problem = client.post("/v1/jobs", json=body).get_json()
    assert (problem["code"], problem["field"]) == ("image_not_found", "images.1")
    assert client.post("/v1/jobs", json=body | {"images": images[:1] * 2}).status_code == 202


def test_an_evaluation_names_what_it_cannot_use(client: FlaskClient, trial: Trial) -> None:
    body: dict[str, Any] = {"kind": "evaluate"}
    problem = client.post("/v1/jobs", json=body | {"vector": NOBODY}).get_json()
    assert (problem["code"], problem["field"]) == ("vector_not_found", "vector")
    ref = ObjectRef("local/vectors/" + "a" * 64, "a" * 64, 3, "application/octet-stream")
    row = Vector(
        id=new_id(), tenant_id="local", name="v", model="cars", model_digest="e" * 64,
        generator_sha256="f" * 64, editing_type="other", tags=(), q_edit=("rim",),
        files={"delta_w": ref}, facts={}, report={}, job_id=None, created_at=0.0,
    )  # fmt: skip
    other = trial.stores.library.put_vector(row)
    problem = client.post("/v1/jobs", json=body | {"vector": other.id}).get_json()
    assert (problem["code"], problem["field"]) == ("invalid_input", "vector")
    answer = client.post("/v1/jobs", json=body | {"attribute": "smiling"})
    assert answer.get_json()["field"] == "attribute"
    answer = client.post("/v1/jobs", json=body | {"images": [upload(client, picture())]})
    assert answer.status_code == 422
    assert client.post("/v1/jobs", json=body | {"attribute": "expression=smiling"}).status_code == 202
