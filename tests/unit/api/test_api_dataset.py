"""Submitting a generate_dataset job: what it names is checked, and what does not go together is named."""

import dataclasses
from typing import Any

import pytest
from api_trial import Trial
from flask.testing import FlaskClient

from storage.annotations import UNLABELLED
from storage.library_records import Vector
from storage.records import LOCAL_TENANT, ObjectRef, new_id

NOBODY = "f" * 32
BODY: dict[str, Any] = {"kind": "generate_dataset"}


def put_vector(trial: Trial, generator_sha256: str = "a" * 64) -> str:
    ref = ObjectRef("local/vectors/" + "a" * 64, "a" * 64, 3, "application/octet-stream")
    row = Vector(
        id=new_id(), tenant_id="local", name="v", model="cars", model_digest="e" * 64,
        generator_sha256=generator_sha256, editing_type="other", tags=(), q_edit=("rim",),
        files={"delta_w": ref}, facts={}, report={}, job_id=None, created_at=0.0,
    )  # fmt: skip
    return trial.stores.library.put_vector(row).id


def test_a_data_set_is_accepted_with_its_defaults(client: FlaskClient) -> None:
    answer = client.post("/v1/jobs", json=BODY)
    assert answer.status_code == 202, answer.get_json()
    spec = answer.get_json()["spec"]
    assert spec["split"] == {"train": 0.8, "val": 0.1, "test": 0.1}
    assert (spec["count"], spec["formats"], spec["balance"]) == (1000, ["pairs"], None)


def test_a_data_set_may_ask_for_all_there_is(client: FlaskClient, trial: Trial) -> None:
    body = BODY | {
        "seed": 7, "count": 100_000, "truncation_psi": 1, "reject_fraction": 0.1, "shard_bytes": 1 << 24,
        "formats": ["coco_panoptic", "coco_instance", "pairs", "webdataset"], "instances": "polygons",
        "vectors": [{"vector": put_vector(trial), "strength": [-1, 2.5]}],
        "balance": {"by": "strength", "bins": 8, "ratio": 1.5}, "split": {"train": 1, "val": 0, "test": 0},
    }  # fmt: skip
    answer = client.post("/v1/jobs", json=body)
    assert answer.status_code == 202, answer.get_json()
    groups = BODY | {"balance": {"by": "parts", "parts": ["wheel", "body"]}, "max_uncertainty": 0.2}
    assert client.post("/v1/jobs", json=groups).status_code == 202


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"count": 0}, "count"),
        ({"count": 100_001}, "count"),
        ({"seed": 2**32 - 5, "count": 10}, "seed"),
        ({"formats": []}, "formats"),
        ({"formats": ["voc"]}, "formats.0"),
        ({"formats": ["pairs", "pairs"]}, "formats"),
        ({"split": {"train": 0.9, "val": 0.2, "test": 0.1}}, "split"),
        ({"split": {"train": 0.9}}, "split"),
        ({"split": {"dev": 1.0}}, "split.dev"),
        ({"max_uncertainty": 0.2, "reject_fraction": 0.1}, "max_uncertainty"),
        ({"max_uncertainty": 0}, "max_uncertainty"),
        ({"reject_fraction": 1}, "reject_fraction"),
        ({"balance": {"by": "parts"}}, "balance"),
        ({"balance": {"by": "strength", "parts": ["rim"]}}, "balance"),
        ({"balance": {"by": "strength"}}, "vectors"),
        ({"balance": {"by": "parts", "parts": ["rim", "rim"]}}, "balance"),
        ({"vectors": [{"vector": NOBODY, "strength": [2, 1]}]}, "vectors.0"),
        ({"vectors": [{"vector": NOBODY, "strength": [1]}]}, "vectors.0.strength"),
        ({"vectors": [{"vector": NOBODY, "strength": [0, 11]}]}, "vectors.0.strength.1"),
        ({"vectors": [{"vector": NOBODY, "strength": [0, 1]}] * 2}, "vectors"),
        (
            {
                "vectors": [{"vector": each * 32, "strength": [0, 1]} for each in "abc"],
                "balance": {"by": "strength", "bins": 5},
            },
            "balance",
        ),
        ({"shard_bytes": 1000}, "shard_bytes"),
    ],
)
def test_what_a_data_set_cannot_be_is_named(client: FlaskClient, wrong: dict[str, Any], field: str) -> None:
    answer = client.post("/v1/jobs", json=BODY | wrong)
    problem = answer.get_json()
    assert (answer.status_code, problem["field"]) == (422, field), problem


def test_vectors_must_be_there_and_fit(client: FlaskClient, trial: Trial) -> None:
    good = {"vector": put_vector(trial), "strength": [0, 1]}
    for bad, code in ((NOBODY, "vector_not_found"), (put_vector(trial, "e" * 64), "invalid_input")):
        body = BODY | {"vectors": [good, {"vector": bad, "strength": [0, 1]}]}
        problem = client.post("/v1/jobs", json=body).get_json()
        assert (problem["code"], problem["field"]) == (code, "vectors.1.vector")


def test_parts_to_balance_by_must_be_the_models(client: FlaskClient) -> None:
    problem = client.post("/v1/jobs", json=BODY | {"balance": {"by": "parts", "parts": ["wing"]}}).get_json()
    assert (problem["code"], problem["field"]) == ("unknown_part", "balance.parts")


def test_more_shards_than_a_row_may_name_are_refused(client: FlaskClient, trial: Trial) -> None:
    small = BODY | {"count": 100_000, "shard_bytes": 1 << 14}
    problem = client.post("/v1/jobs", json=small).get_json()
    assert (problem["code"], problem["field"]) == ("invalid_input", "shard_bytes")
    cars = trial.stores.library.get_model("local", "cars")
    large = dataclasses.replace(cars, id=new_id(), tenant_id=LOCAL_TENANT, name="large", resolution_px=1024)
    trial.stores.library.put_model(large)
    body = BODY | {"model": "large", "count": 50_000}
    assert client.post("/v1/jobs", json=body).status_code == 422
    assert client.post("/v1/jobs", json=body | {"shard_bytes": 256 << 20}).status_code == 202


def test_a_model_without_parts_labels_nothing(client: FlaskClient, trial: Trial) -> None:
    cars = trial.stores.library.get_model("local", "cars")
    files = {role: cars.files[role] for role in ("generator", "perceptual")}
    own = {"id": new_id(), "tenant_id": LOCAL_TENANT, "name": "drawn", "files": files}
    trial.stores.library.put_model(dataclasses.replace(cars, **own, parts=(UNLABELLED,), groups={}))
    answer = client.post("/v1/jobs", json=BODY | {"model": "drawn"})
    assert (answer.status_code, answer.get_json()["code"]) == (409, "model_incomplete")


def test_a_vector_of_an_open_job_is_not_deleted(client: FlaskClient, trial: Trial) -> None:
    vector = put_vector(trial)
    body = BODY | {"vectors": [{"vector": vector, "strength": [0, 1]}]}
    assert client.post("/v1/jobs", json=body).status_code == 202
    assert client.delete(f"/v1/vectors/{vector}").get_json()["code"] == "vector_in_use"
