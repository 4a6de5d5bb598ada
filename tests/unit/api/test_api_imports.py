"""Submitting imports: what they name is checked before a row is written."""

import dataclasses
import hashlib
from typing import Any

import pytest
from api_trial import Trial
from flask.testing import FlaskClient

from storage.records import LOCAL_TENANT, new_id

NOBODY = "f" * 32


@pytest.fixture
def files(client: FlaskClient) -> list[str]:
    return [client.post("/v1/files", data=data).get_json()["id"] for data in (b"one", b"two")]


def spec(files: list[str], **members: Any) -> dict[str, Any]:
    return {"kind": "import_model", "name": "mine", "files": [{"file": each} for each in files], **members}


def test_an_import_is_accepted_and_holds_its_files(client: FlaskClient, files: list[str]) -> None:
    answer = client.post("/v1/jobs", json=spec(files, parts=["a", "b"], groups={"all": ["a", "b"]}))
    job = answer.get_json()
    assert answer.status_code == 202, job
    assert job["spec"]["files"][1] == {"file": files[1], "role": "auto", "name": None}
    assert client.delete(f"/v1/files/{files[1]}").get_json()["code"] == "file_in_use"
    client.post(f"/v1/jobs/{job['id']}/cancel")
    assert client.delete(f"/v1/files/{files[1]}").status_code == 204


def test_a_file_that_is_not_there_is_named(client: FlaskClient, files: list[str]) -> None:
    problem = client.post("/v1/jobs", json=spec([*files, NOBODY])).get_json()
    assert (problem["code"], problem["field"]) == ("file_not_found", "files.2.file")
    assert client.get("/v1/jobs").get_json()["items"] == []


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"files": []}, "files"),
        ({"files": "twice"}, "files"),
        ({"files": "two generators"}, "files"),
        ({"files": "a generator with a name"}, "files"),
        ({"name": "../mine"}, "name"),
        ({"parts": ["a"]}, "parts"),
        ({"parts": ["a", "a"]}, "parts"),
        ({"parts": ["A part", "b"]}, "parts.0"),
        ({"groups": {"all": ["a", "b"]}}, "groups"),
        ({"format": "keras"}, "format"),
        ({"model": "boats"}, "model"),
    ],
)
def test_what_is_wrong_is_named(
    client: FlaskClient, files: list[str], members: dict[str, Any], field: str
) -> None:
    one, two = ({"file": each} for each in files)
    made = {
        "twice": [one, one],
        "two generators": [one | {"role": "generator"}, two | {"role": "generator"}],
        "a generator with a name": [one | {"role": "generator", "name": "x"}, two],
    }
    if isinstance(members.get("files"), str):
        members = {"files": made[members["files"]]}
    problem = client.post("/v1/jobs", json=spec(files) | members).get_json()
    assert problem["status"] in (404, 422), problem
    assert problem["field"] == field, problem


def test_a_model_without_a_backbone_has_none_to_give(
    client: FlaskClient, trial: Trial, files: list[str]
) -> None:
    cars = trial.stores.library.get_model("local", "cars")
    bare = {"id": new_id(), "tenant_id": LOCAL_TENANT, "name": "bare"}
    model = dataclasses.replace(cars, **bare, files={"generator": cars.files["generator"]})
    trial.stores.library.put_model(model)
    problem = client.post("/v1/jobs", json=spec(files, model="bare")).get_json()
    assert (problem["code"], problem["field"]) == ("invalid_input", "model")


def identity(file: str, data: bytes = b"one", **members: Any) -> dict[str, Any]:
    sha256 = hashlib.sha256(data).hexdigest()
    return {"kind": "import_identity", "model": "cars", "file": file, "sha256": sha256, **members}


def test_an_identity_network_is_accepted_with_its_digest(client: FlaskClient, files: list[str]) -> None:
    answer = client.post("/v1/jobs", json=identity(files[0], mean=[0.4, 0.5, 0.6], channels="bgr"))
    assert answer.status_code == 202, answer.get_json()
    assert answer.get_json()["spec"]["size_px"] == 112


@pytest.mark.parametrize(
    ("members", "code", "field"),
    [
        ({"sha256": "0" * 64}, "digest_mismatch", "sha256"),
        ({"sha256": None}, "invalid_input", "sha256"),
        ({"file": NOBODY}, "file_not_found", "file"),
        ({"mean": [0.5, 0.5]}, "invalid_input", "mean"),
        ({"std": [0.5, 0.5, 0]}, "invalid_input", "std.2"),
        ({"size_px": 4096}, "invalid_input", "size_px"),
        ({"channels": "cmy"}, "invalid_input", "channels"),
        ({"crop": 0}, "invalid_input", "crop"),
    ],
)
def test_what_is_wrong_with_an_identity_network_is_named(
    client: FlaskClient, files: list[str], members: dict[str, Any], code: str, field: str
) -> None:
    problem = client.post("/v1/jobs", json=identity(files[0]) | members).get_json()
    assert (problem["code"], problem["field"]) == (code, field), problem
