"""The audit log: who did what, with which key, to what, and who was not let in."""

import json
import logging
from typing import Any

import pytest
from api_trial import Trial
from flask.testing import FlaskClient

from storage.key_records import Scope
from storage.log import JsonLines
from storage.settings import Settings


@pytest.fixture
def settings() -> Settings:
    return Settings(max_body_bytes=2_000_000, keys_required=True)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [
        json.loads(JsonLines().format(record)) for record in caplog.records if record.name == "editq.audit"
    ]


def test_what_changes_something_is_told_with_who_did_it(
    client: FlaskClient, trial: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    key, secret = trial.stores.keys.create("acme", "laptop", Scope.ADMIN)
    headers = {"Authorization": f"Bearer {secret.text}", "X-Request-ID": "abc-1"}
    with caplog.at_level(logging.INFO, "editq.audit"):
        job = client.post("/v1/jobs", json={"kind": "sample"}, headers=headers).get_json()["id"]
        client.get(f"/v1/jobs/{job}", headers=headers)
        client.post(f"/v1/jobs/{job}/cancel", headers=headers)
        made = client.post("/v1/keys", json={"name": "x", "scope": "read"}, headers=headers).get_json()
    submitted, canceled, keyed = lines(caplog)
    assert {name: submitted[name] for name in ("tenant_id", "key_id", "action", "object", "status")} == {
        "tenant_id": "acme",
        "key_id": key.id,
        "action": "jobs.submit_job",
        "object": f"/v1/jobs/{job}",
        "status": 202,
    }
    assert (submitted["request_id"], submitted["level"], "time" in submitted) == ("abc-1", "info", True)
    assert (canceled["action"], canceled["object"]) == ("job_actions.cancel_job", f"/v1/jobs/{job}/cancel")
    assert (keyed["action"], keyed["object"]) == ("keys.create_key", f"/v1/keys/{made['id']}")
    said = json.dumps(lines(caplog))
    assert secret.secret not in said
    assert made["key"][-43:] not in said


def test_who_was_not_let_in_is_told(
    client: FlaskClient, trial: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    key, secret = trial.stores.keys.create("acme", "laptop", Scope.READ)
    headers = {"Authorization": f"Bearer {secret.text}"}
    with caplog.at_level(logging.INFO, "editq.audit"):
        client.get("/v1/jobs")
        client.post("/v1/jobs", json={"kind": "sample"}, headers=headers)
        client.get("/v1/jobs", headers={"Host": "evil.example"})
    told = [(line["status"], line.get("tenant_id"), line.get("key_id")) for line in lines(caplog)]
    assert told == [(401, None, None), (403, "acme", key.id), (403, None, None)]
