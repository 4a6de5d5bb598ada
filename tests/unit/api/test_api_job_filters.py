"""Many jobs canceled, or tried again, by a filter."""

from typing import Any

from api_trial import Trial
from flask.testing import FlaskClient

from storage.records import Job, Status


def submit(client: FlaskClient, **members: Any) -> str:
    answer = client.post("/v1/jobs", json={"kind": "sample", **members})
    assert answer.status_code == 202, answer.text
    return str(answer.json["id"])


def failed(client: FlaskClient, trial: Trial, code: str) -> str:
    job_id = submit(client)
    claim = trial.stores.jobs.claim("gpu", "w", lease_s=60)
    assert claim is not None
    assert claim.job.id == job_id
    trial.stores.jobs.fail(claim, {"code": code, "detail": "It did."})
    return job_id


def job(trial: Trial, job_id: str) -> Job:
    return trial.stores.jobs.get("local", job_id)


def test_all_open_jobs_that_match_are_canceled(client: FlaskClient, trial: Trial) -> None:
    running = submit(client)
    assert trial.stores.jobs.claim("gpu", "w", lease_s=60) is not None
    queued = [submit(client) for _ in range(3)]
    other = trial.stores.jobs.add("somebody", "sample", {})
    first = client.post("/v1/jobs/cancel", json={"status": "queued", "limit": 2}).json
    assert (first["ids"], first["more"]) == (queued[:0:-1], True)
    second = client.post("/v1/jobs/cancel", json={"kind": "sample"}).json
    assert (sorted(second["ids"]), second["more"]) == (sorted([queued[0], running]), False)
    assert {job(trial, name).status for name in queued} == {Status.CANCELED}
    assert job(trial, running).cancel_requested
    assert trial.stores.progress.cancel_noticed(running)
    assert trial.stores.jobs.get("somebody", other.id).status is Status.QUEUED


def test_a_filter_by_time_leaves_later_jobs_alone(client: FlaskClient, trial: Trial) -> None:
    early = submit(client)
    until = job(trial, early).created_at + 1e-6
    submit(client)
    canceled = client.post("/v1/jobs/cancel", json={"created_before": until}).json
    assert canceled["ids"] == [early]


def test_failed_jobs_are_tried_again_by_code_and_none_twice(client: FlaskClient, trial: Trial) -> None:
    memory = failed(client, trial, "out_of_memory")
    failed(client, trial, "non_finite")
    asked = {"code": "out_of_memory"}
    first, second = (client.post("/v1/jobs/retry", json=asked).json for _ in range(2))
    assert first["ids"] == [memory]
    assert first == second
    assert job(trial, first["retries"][memory]).retry_of == memory
    assert len(client.get("/v1/jobs?status=queued").json["items"]) == 1


def test_what_cannot_be_tried_again_says_why(client: FlaskClient, trial: Trial) -> None:
    name = failed(client, trial, "non_finite")
    trial.stores.library.models.clear()
    answer = client.post("/v1/jobs/retry", json={}).json
    assert answer["ids"] == []
    assert answer["refused"][name]["code"] == "model_not_found"


def test_a_filter_that_is_none_is_refused(client: FlaskClient) -> None:
    answer = client.post("/v1/jobs/cancel", json={"colour": "red"})
    assert (answer.status_code, answer.json["field"]) == (422, "colour")
