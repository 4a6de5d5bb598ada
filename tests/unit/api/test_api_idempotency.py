"""Idempotency-Key: the same request twice is done once, another one under the same name is refused."""

from typing import Any

import pytest
from api_trial import Trial, picture, upload
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from storage.records import IdempotencyKey

SAMPLE: dict[str, Any] = {"kind": "sample", "seed": 7}


def submit(client: FlaskClient, body: dict[str, Any], key: str = "k") -> TestResponse:
    return client.post("/v1/jobs", json=body, headers={"Idempotency-Key": key})


def test_a_replay_answers_with_the_job_as_it_is_now_and_does_nothing(
    client: FlaskClient, trial: Trial
) -> None:
    first = submit(client, SAMPLE)
    assert "Idempotency-Replayed" not in first.headers
    job_id = first.get_json()["id"]
    client.post(f"/v1/jobs/{job_id}/cancel")
    again = submit(client, SAMPLE)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
    assert again.headers["Location"] == first.headers["Location"]
    assert (again.get_json()["id"], again.get_json()["status"]) == (job_id, "canceled")
    assert trial.kept()[0] == 1
    assert len(trial.rung) == 1


def test_the_digest_covers_what_was_understood_not_how_it_was_written(
    client: FlaskClient, trial: Trial
) -> None:
    first = submit(client, SAMPLE).get_json()["id"]
    spelt_out = {"truncation_psi": 0.7, "seed": 7, "options": {"priority": "standard"}, "kind": "sample"}
    assert submit(client, spelt_out).get_json()["id"] == first
    assert trial.kept()[0] == 1


@pytest.mark.parametrize("other", [{"seed": 8}, {"options": {"priority": "bulk"}}, {"count": 2}])
def test_another_body_under_the_same_key_is_refused(
    client: FlaskClient, trial: Trial, other: dict[str, Any]
) -> None:
    submit(client, SAMPLE)
    answer = submit(client, SAMPLE | other)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"]) == (422, "idempotency_key_reused")
    assert (problem["field"], problem["expected"] is None) == ("Idempotency-Key", False)
    assert trial.kept()[0] == 1
    assert len(trial.rung) == 1


def test_a_replay_works_although_its_image_is_gone(client: FlaskClient, trial: Trial) -> None:
    image = upload(client, picture())
    body = {"kind": "invert", "image": image}
    job_id = submit(client, body).get_json()["id"]
    client.post(f"/v1/jobs/{job_id}/cancel")
    assert client.delete(f"/v1/images/{image}").status_code == 204
    assert submit(client, body).get_json()["id"] == job_id
    assert submit(client, body, key="another").get_json()["code"] == "image_not_found"


def test_a_refused_request_does_not_use_its_key_up(client: FlaskClient) -> None:
    assert submit(client, SAMPLE | {"model": "boats"}).status_code == 404
    assert submit(client, SAMPLE).status_code == 202


def test_keys_of_other_tenants_are_other_keys(client: FlaskClient, trial: Trial) -> None:
    trial.stores.jobs.add("somebody", "sample", {}, idempotency=IdempotencyKey("k", "0" * 64))
    answer = submit(client, SAMPLE)
    assert (answer.status_code, answer.headers.get("Idempotency-Replayed")) == (202, None)


@pytest.mark.parametrize("key", ["", " ", "a b", "k" * 256, "ü", "tab\there", '"\x7f"'])
def test_a_key_that_is_none_is_refused(client: FlaskClient, trial: Trial, key: str) -> None:
    job_id = submit(client, SAMPLE).get_json()["id"]
    client.post(f"/v1/jobs/{job_id}/cancel")
    for path in ("/v1/jobs", f"/v1/jobs/{job_id}/retry"):
        answer = client.post(path, json=SAMPLE, headers={"Idempotency-Key": key.encode().decode("latin-1")})
        assert (answer.status_code, answer.get_json()["field"]) == (422, "Idempotency-Key"), path
    assert trial.kept()[0] == 1


@pytest.mark.parametrize("key", ["k", "k" * 255, '"quoted"', "!~"])
def test_visible_ascii_is_a_key(client: FlaskClient, key: str) -> None:
    assert submit(client, SAMPLE, key).status_code == 202


def test_a_retry_is_done_once_too_and_is_another_request_than_a_submit(
    client: FlaskClient, trial: Trial
) -> None:
    jobs = [submit(client, SAMPLE | {"seed": seed}, f"s{seed}").get_json()["id"] for seed in range(2)]
    for job_id in jobs:
        client.post(f"/v1/jobs/{job_id}/cancel")
    headers = {"Idempotency-Key": "r"}
    first, second = (client.post(f"/v1/jobs/{jobs[0]}/retry", headers=headers) for _ in range(2))
    assert first.get_json()["id"] == second.get_json()["id"]
    assert second.headers["Idempotency-Replayed"] == "true"
    for other in (client.post(f"/v1/jobs/{jobs[1]}/retry", headers=headers), submit(client, SAMPLE, "r")):
        assert (other.status_code, other.get_json()["code"]) == (422, "idempotency_key_reused")
    assert trial.kept()[0] == 3
