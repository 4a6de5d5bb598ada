"""Limits over HTTP: what is refused with 429, how it says for how long, and what the answers tell before."""

from api_trial import Trial, picture, upload
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from storage.key_records import Scope
from storage.limit_records import Limit
from storage.settings import Settings


def refused(answer: TestResponse, code: str) -> int:
    assert (answer.status_code, answer.get_json()["code"]) == (429, code), answer.text
    assert answer.get_json()["retryable"] is True
    return int(answer.headers["Retry-After"])


def limit(trial: Trial, name: Limit, value: float) -> None:
    trial.stores.limits.set("local", name, value)


def test_requests_a_second_are_a_bucket_and_the_answers_tell_of_it(client: FlaskClient, trial: Trial) -> None:
    limit(trial, Limit.REQUESTS_PER_S, 0.5)  # a burst of one
    first = client.get("/v1/jobs")
    assert first.status_code == 200
    assert first.headers["RateLimit-Policy"] == '"requests";q=1;w=2'
    assert first.headers["RateLimit"] == '"requests";r=0;t=2'
    second = client.get("/v1/jobs")
    assert refused(second, "too_many_requests") == 2
    assert second.headers["RateLimit"].startswith('"requests";r=0')
    assert client.get("/livez").status_code == client.get("/studio").status_code == 200


def test_without_a_limit_the_answers_tell_of_none(client: FlaskClient) -> None:
    assert "RateLimit" not in client.get("/v1/jobs").headers


def test_jobs_beyond_those_that_may_wait_are_refused_and_replays_are_not(
    client: FlaskClient, trial: Trial
) -> None:
    limit(trial, Limit.JOBS_WAITING, 1)
    key = {"Idempotency-Key": "one"}
    job = client.post("/v1/jobs", json={"kind": "sample"}, headers=key)
    assert job.status_code == 202
    trial.app.extensions["editq"].__post_init__()  # a few seconds later
    assert refused(client.post("/v1/jobs", json={"kind": "sample"}), "too_many_jobs_waiting") == 30
    batch = {
        "spec": {"kind": "edit", "mask_operations": [{"op": "grow", "part": "wheel", "px": 1}]},
        "inputs": {"type": "seeds", "count": 3},
    }
    refused(client.post("/v1/batches", json=batch), "too_many_jobs_waiting")
    again = client.post("/v1/jobs", json={"kind": "sample"}, headers=key)
    assert (again.status_code, again.get_json()["id"]) == (202, job.get_json()["id"])


def test_bytes_beyond_those_that_may_be_stored_are_refused_before_they_are_read(
    client: FlaskClient, trial: Trial
) -> None:
    data = picture()
    limit(trial, Limit.BYTES_STORED, len(data) + 10)
    upload(client, data)
    trial.app.extensions["editq"].__post_init__()
    kept = trial.kept()
    for path in ("/v1/images", "/v1/files"):
        answer = client.post(path, data=data, content_type="image/png")
        assert refused(answer, "too_many_bytes_stored") == 3600
    assert trial.kept() == kept


def test_who_has_used_its_gpu_seconds_is_told_until_when(client: FlaskClient, trial: Trial) -> None:
    limit(trial, Limit.GPU_S_PER_DAY, 1e-9)
    trial.inverted()
    wait_s = refused(client.post("/v1/jobs", json={"kind": "sample"}), "gpu_time_used_up")
    assert 0 < wait_s <= 86400


def test_limits_are_listed_with_what_is_held(client: FlaskClient, trial: Trial) -> None:
    limit(trial, Limit.JOBS_WAITING, 5)
    client.post("/v1/jobs", json={"kind": "sample"})
    listed = {each["name"]: each for each in client.get("/v1/limits").get_json()["items"]}
    assert set(listed) == set(Limit)
    assert (listed["jobs_waiting"]["limit"], listed["jobs_waiting"]["used"]) == (5, 1)
    assert listed["batch_items"] == {"name": "batch_items", "limit": None, "used": None}


def test_the_one_user_of_a_machine_has_no_limits_and_keys_bring_some() -> None:
    assert set(Settings().limits.values()) == {0}
    keyed = Settings(keys_required=True).limits
    assert (keyed[Limit.REQUESTS_PER_S], keyed[Limit.JOBS_WAITING], keyed[Limit.JOBS_RUNNING]) == (
        50,
        10_000,
        0,
    )
    assert Settings(keys_required=True, limit_jobs_waiting=0).limits[Limit.JOBS_WAITING] == 0


def test_one_tenants_requests_do_not_use_up_anothers(client: FlaskClient, trial: Trial) -> None:
    made = [trial.stores.keys.create(f"t{number}", "k", Scope.READ)[1].text for number in range(2)]
    for number, text in enumerate(made):
        trial.stores.limits.set(f"t{number}", Limit.REQUESTS_PER_S, 0.5)
        headers = {"Authorization": f"Bearer {text}"}
        assert [client.get("/v1/jobs", headers=headers).status_code for _ in range(2)] == [200, 429]
