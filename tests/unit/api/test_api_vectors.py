"""Editing vectors: the library, imports, and that nothing is kept of what cannot be read."""

import dataclasses
import io
import json
from typing import Any

import numpy as np
import pytest
from api_trial import DIGEST, Trial, cars, picture
from flask.testing import FlaskClient
from safetensors.numpy import load, save
from werkzeug.test import TestResponse

from storage.library_records import Vector
from storage.objects import model_key, output_key, vector_key
from storage.records import new_id

DELTA = np.random.default_rng(0).normal(size=(6, 16)).astype(np.float32)  # of cars(): 16 px
FILE = save({"delta_w": DELTA})


def send(client: FlaskClient, data: bytes = FILE, **fields: Any) -> TestResponse:
    asked = {"model": "cars", "name": "larger wheels", **fields}
    form = {name: value for name, value in asked.items() if value is not None}
    return client.post("/v1/vectors", data={"file": (io.BytesIO(data), "delta_w.safetensors"), **form})


def sent(client: FlaskClient, **fields: Any) -> dict[str, Any]:
    answer = send(client, **fields)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.get_json()
    return made


def refused(answer: TestResponse, status: int, code: str, field: str | None) -> str:
    problem = answer.get_json()
    assert answer.content_type == "application/problem+json"
    assert (answer.status_code, problem["code"], problem.get("field")) == (status, code, field), problem
    return str(problem["detail"])


def kept(trial: Trial) -> tuple[int, int]:
    vectors = trial.stores.library.list_vectors("local").items
    return len(vectors), len(list(trial.stores.objects.list("local/vectors/")))


def put(trial: Trial, tenant_id: str = "local", **members: Any) -> Vector:
    """A vector with all its files, as a job leaves it."""
    objects, job_id = trial.stores.objects, new_id()
    contents = {
        "delta_w": ("delta_w.safetensors", FILE, "application/octet-stream"),
        "before": ("before.png", picture(), "image/png"),
        "report": ("report.json", b'{"samples": 32}', "application/json"),
    }
    files = {
        role: objects.put(output_key(tenant_id, job_id, 1, name), data, media_type)
        for role, (name, data, media_type) in contents.items()
    }
    vector = Vector(
        new_id(), tenant_id, "smile", "cars", DIGEST, "2" * 64, "mouth grows", ("starter",), ("body",), files,
        {"lambda_ce": 1.0}, {"samples": 32}, job_id, 0.0,
    )  # fmt: skip
    return trial.stores.library.put_vector(dataclasses.replace(vector, **members))


def test_an_imported_vector_is_there_to_be_listed_shown_and_downloaded(
    client: FlaskClient, trial: Trial
) -> None:
    answer = send(client, tags=["mine", "ö 車"], q_edit=["wheel"], editing_type="wheel grows")
    made = answer.get_json()
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == made["url"] == f"/v1/vectors/{made['id']}"
    assert (made["name"], made["tags"], made["editing_type"]) == (
        "larger wheels", ["mine", "ö 車"], "wheel grows"
    )  # fmt: skip
    assert (made["q_edit"], made["model_digest"], made["tenant"]) == (["tyre", "rim"], DIGEST, "local")
    assert (made["facts"]["num_ws"], made["facts"]["w_dim"], made["report"]) == (6, 16, {})
    assert client.get(made["url"]).get_json() == made
    (listed,) = client.get("/v1/vectors").get_json()["items"]
    assert listed == {**made, "report": None}
    content = client.get(made["content_url"])
    np.testing.assert_array_equal(load(content.data)["delta_w"], DELTA)
    assert (
        content.headers["Content-Disposition"] == "attachment; filename*=UTF-8''larger%20wheels.safetensors"
    )
    assert content.headers["ETag"] == f'"{made["files"]["delta_w"]["sha256"]}"'
    assert kept(trial) == (1, 1)


def test_an_npy_file_gives_the_same_object(client: FlaskClient, trial: Trial) -> None:
    stream = io.BytesIO()
    np.save(stream, DELTA[None])
    one, same = sent(client), sent(client, data=stream.getvalue())
    assert one["files"]["delta_w"]["sha256"] == same["files"]["delta_w"]["sha256"]
    assert kept(trial) == (2, 1)


def test_a_vector_that_a_job_left_brings_its_pictures_and_report(client: FlaskClient, trial: Trial) -> None:
    vector = put(trial)
    shown = client.get(f"/v1/vectors/{vector.id}").get_json()
    assert (shown["report"], shown["job_id"]) == ({"samples": 32}, vector.job_id)
    before = client.get(shown["files"]["before"]["url"])
    assert (before.data, before.content_type) == (picture(), "image/png")
    assert before.headers["Content-Disposition"] == "inline; filename*=UTF-8''before.png"
    report = client.get(shown["files"]["report"]["url"])
    assert report.get_json() == {"samples": 32}
    assert client.get(shown["files"]["delta_w"]["url"]).data == FILE
    refused(client.get(f"/v1/vectors/{vector.id}/files/after"), 404, "output_not_found", "name")


def test_the_list_is_filtered_and_pages_by_link(client: FlaskClient, trial: Trial) -> None:
    put(trial, "system", name="smile")
    ids = [sent(client, name=f"wheels {n}", tags=["round"])["id"] for n in range(3)]
    first = client.get("/v1/vectors?limit=2&tag=round&text=WHEELS&model=cars")
    assert [item["id"] for item in first.get_json()["items"]] == [ids[2], ids[1]]
    second = client.get(first.headers["Link"].split(">")[0].lstrip("<"))
    assert [item["id"] for item in second.get_json()["items"]] == [ids[0]]
    found = client.get("/v1/vectors", query_string={"editing_type": "mouth grows"}).get_json()["items"]
    assert [(item["name"], item["tenant"]) for item in found] == [("smile", "system")]
    assert client.get("/v1/vectors?model=boats").get_json()["items"] == []
    for query, field in (("text=", "text"), ("tag=%00", "tag"), ("limit=0", "limit"), ("sort=name", "sort")):
        refused(client.get(f"/v1/vectors?{query}"), 422, "invalid_input", field)


def test_a_vector_is_renamed_and_tagged(client: FlaskClient) -> None:
    made = sent(client, tags=["a"])
    changed = client.patch(made["url"], json={"name": "Räder", "tags": ["b", "c"]}).get_json()
    assert changed == {**made, "name": "Räder", "tags": ["b", "c"]}
    assert client.patch(made["url"], json={"editing_type": "wheel grows", "tags": []}).get_json() == {
        **changed, "editing_type": "wheel grows", "tags": []
    }  # fmt: skip
    assert client.patch(made["url"], json={}).get_json()["name"] == "Räder"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": " x"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "n" * 121}, "name"),
        ({"name": 7}, "name"),
        ({"tags": ["a", "a"]}, "tags"),
        ({"tags": ["t" * 41]}, "tags.0"),
        ({"tags": [str(n) for n in range(33)]}, "tags"),
        ({"tags": "a"}, "tags"),
        ({"editing_type": "\0"}, "editing_type"),
        ({"q_edit": ["body"]}, "q_edit"),
    ],
)
def test_what_a_vector_may_not_be_called(client: FlaskClient, change: dict[str, Any], field: str) -> None:
    made = sent(client)
    refused(client.patch(made["url"], json=change), 422, "invalid_input", field)
    assert client.get(made["url"]).get_json() == made


def test_a_deleted_vector_is_gone_and_its_object_is_garbage(client: FlaskClient, trial: Trial) -> None:
    one, same = sent(client), sent(client)
    (key,) = trial.stores.objects.list("local/vectors/")
    assert client.delete(one["url"]).status_code == 204
    assert trial.stores.retention.unneeded([key]) == frozenset()
    assert client.delete(same["url"]).status_code == 204
    assert trial.stores.retention.unneeded([key]) == {key}
    for answer in (client.get(one["url"]), client.delete(one["url"]), client.get(one["content_url"])):
        refused(answer, 404, "vector_not_found", "vector")


def test_a_vector_that_a_waiting_job_needs_is_not_deleted(client: FlaskClient, trial: Trial) -> None:
    made = sent(client)
    trial.stores.jobs.add("local", "apply", {"vectors": [{"vector": made["id"]}]})
    refused(client.delete(made["url"]), 409, "vector_in_use", None)
    assert client.get(made["url"]).status_code == 200


def test_the_systems_vectors_are_read_by_all_and_changed_by_none(client: FlaskClient, trial: Trial) -> None:
    vector = put(trial, "system")
    url = f"/v1/vectors/{vector.id}"
    assert client.get(url).get_json()["tenant"] == "system"
    assert client.get(f"{url}/content").data == FILE
    assert client.get(f"{url}/files/before").status_code == 200
    refused(client.patch(url, json={"name": "mine"}), 403, "forbidden", None)
    refused(client.delete(url), 403, "forbidden", None)
    assert trial.stores.library.get_vector("local", vector.id) == vector


def test_another_tenants_vector_is_not_there(client: FlaskClient, trial: Trial) -> None:
    url = f"/v1/vectors/{put(trial, 'somebody').id}"
    answers = (
        client.get(url),
        client.get(f"{url}/content"),
        client.get(f"{url}/files/before"),
        client.patch(url, json={"name": "mine"}),
        client.delete(url),
    )
    for answer in answers:
        refused(answer, 404, "vector_not_found", "vector")
    assert client.get("/v1/vectors").get_json()["items"] == []


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 422, "unreadable_vector"),
        (b"\xff" * 8 + FILE[8:], 422, "unreadable_vector"),
        (save({"delta_w": np.where(DELTA > 1, np.nan, DELTA)}), 422, "unreadable_vector"),
        (save({"delta_w": DELTA.astype(np.float64)}), 422, "unreadable_vector"),
        (save({"delta_w": DELTA[:4]}), 422, "vector_mismatch"),
        (bytes(3 << 20), 413, "body_too_large"),
    ],
    ids=["nothing", "a giant header", "no numbers", "doubles", "too few layers", "too large"],
)
def test_what_is_no_vector_of_the_model_is_refused_and_leaves_nothing(
    client: FlaskClient, trial: Trial, data: bytes, status: int, code: str
) -> None:
    refused(send(client, data), status, code, "body" if status == 413 else "file")
    assert kept(trial) == (0, 0)


@pytest.mark.parametrize(
    ("fields", "status", "code", "field"),
    [
        ({"model": "boats"}, 404, "model_not_found", "model"),
        ({"model": None}, 422, "invalid_input", "model"),
        ({"name": None}, 422, "invalid_input", "name"),
        ({"name": ["a", "b"]}, 422, "invalid_input", "name"),
        ({"name": "n" * 121}, 422, "invalid_input", "name"),
        ({"name": "x" * 600_000}, 413, "body_too_large", "body"),
        ({"tags": ["t"] * 33}, 422, "invalid_input", "tags"),
        ({"tags": ["t" * 41]}, 422, "invalid_input", "tags.0"),
        ({"q_edit": ["wing"]}, 422, "unknown_part", "q_edit"),
        ({"colour": "red"}, 422, "invalid_input", "colour"),
    ],
)
def test_what_is_said_of_a_vector_must_be_right(
    client: FlaskClient, trial: Trial, fields: dict[str, Any], status: int, code: str, field: str
) -> None:
    refused(send(client, **fields), status, code, field)
    assert kept(trial) == (0, 0)


def test_only_a_form_with_one_file_is_read(client: FlaskClient) -> None:
    raw = client.post("/v1/vectors", data=FILE, content_type="application/octet-stream")
    refused(raw, 415, "unsupported_media_type", "Content-Type")
    refused(client.post("/v1/vectors", json={}), 415, "unsupported_media_type", "Content-Type")
    nothing = client.post("/v1/vectors", data={"model": "cars"}, content_type="multipart/form-data")
    refused(nothing, 422, "invalid_input", "file")
    two = {"file": [(io.BytesIO(FILE), "a"), (io.BytesIO(FILE), "b")], "model": "cars", "name": "x"}
    refused(client.post("/v1/vectors", data=two), 422, "invalid_input", "file")


def test_the_generators_own_file_tells_how_long_codes_are(client: FlaskClient, trial: Trial) -> None:
    metadata = {"stylegan2_generator": json.dumps({"resolution": 16, "w_dim": 24})}
    weights = save({"mapping.w_avg": np.zeros(24, np.float32)}, metadata=metadata)
    key = model_key("system", "cars", "e" * 64, "generator.safetensors")
    ref = trial.stores.objects.put(key, weights, "application/octet-stream")
    trial.stores.library.put_model(dataclasses.replace(cars(), digest="e" * 64, files={"generator": ref}))
    assert "[6, 24]" in refused(send(client), 422, "vector_mismatch", "file")
    assert sent(client, data=save({"delta_w": np.ones((6, 24), np.float32)}))["facts"]["w_dim"] == 24


def test_an_object_that_is_being_removed_is_put_again(
    client: FlaskClient, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.upload.GARBAGE_WAIT_S", 0.1)
    made = sent(client)
    client.delete(made["url"])
    key = vector_key("local", made["files"]["delta_w"]["sha256"])
    trial.stores.retention.mark([key])
    trial.stores.retention.condemn([key])
    refused(send(client), 503, "storage_unavailable", None)
    trial.stores.objects.delete([key])
    trial.stores.retention.forget([key])
    again = sent(client)
    assert client.get(again["content_url"]).status_code == 200
