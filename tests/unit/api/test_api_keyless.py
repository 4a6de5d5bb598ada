"""The single user of this machine: no key, on loopback alone."""

from api_trial import Trial
from flask.testing import FlaskClient

from storage.key_records import Scope


def test_another_machine_is_refused_without_keys(client: FlaskClient) -> None:
    answer = client.get("/v1/jobs", environ_overrides={"REMOTE_ADDR": "10.0.0.9"})
    assert (answer.status_code, answer.get_json()["code"]) == (401, "key_missing")
    assert client.get("/v1/jobs", environ_overrides={"REMOTE_ADDR": "::1"}).status_code == 200
    assert client.get("/studio", environ_overrides={"REMOTE_ADDR": ""}).status_code == 401
    assert client.get("/livez", environ_overrides={"REMOTE_ADDR": "10.0.0.9"}).status_code == 200


def test_a_key_that_is_given_holds_also_here(client: FlaskClient, trial: Trial) -> None:
    _, secret = trial.stores.keys.create("acme", "theirs", Scope.READ)
    theirs = {"Authorization": f"Bearer {secret.text}"}
    mine = trial.stores.jobs.add("local", "sample", {}).id
    assert client.get(f"/v1/jobs/{mine}").status_code == 200
    assert client.get(f"/v1/jobs/{mine}", headers=theirs).status_code == 404
    assert client.post("/v1/jobs", json={"kind": "sample"}, headers=theirs).status_code == 403
    assert client.get("/v1/jobs", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_the_one_user_may_do_all(client: FlaskClient) -> None:
    made = client.post("/v1/keys", json={"name": "for later", "scope": "admin"})
    assert (made.status_code, made.get_json()["tenant"]) == (201, "local")
    assert client.post("/v1/queues/gpu/pause").status_code == 200
