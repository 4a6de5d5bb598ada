"""API keys over HTTP: who is let in, as whom, and how keys are made, listed, rotated and revoked."""

import logging
from typing import Any

import pytest
from api_trial import Trial
from flask.testing import FlaskClient
from pydantic import ValidationError

from api.doors import NotOpened, check_doors, check_keys
from api.scopes import OPEN, READ, ScopeNotStated, check_stated, scope_of
from storage.errors import StorageUnavailable
from storage.key_records import Scope
from storage.memory_keys import MemoryKeys
from storage.settings import Settings


@pytest.fixture
def settings() -> Settings:
    return Settings(max_body_bytes=2_000_000, keys_required=True)


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def make(trial: Trial, scope: Scope = Scope.ADMIN, tenant: str = "acme", **how: Any) -> dict[str, str]:
    """Headers of a new key."""
    return bearer(trial.stores.keys.create(tenant, "a key", scope, **how)[1].text)


def test_a_key_lets_its_tenant_in_and_shows_that_tenants_things_alone(
    client: FlaskClient, trial: Trial
) -> None:
    headers = make(trial, Scope.SUBMIT)
    mine = client.post("/v1/jobs", json={"kind": "sample"}, headers=headers).get_json()["id"]
    theirs = trial.stores.jobs.add("local", "sample", {}).id
    assert [job["id"] for job in client.get("/v1/jobs", headers=headers).get_json()["items"]] == [mine]
    assert client.get(f"/v1/jobs/{theirs}", headers=headers).get_json()["code"] == "job_not_found"
    assert trial.stores.jobs.get("acme", mine).tenant_id == "acme"


def test_each_way_of_having_no_key_has_its_code(client: FlaskClient, trial: Trial) -> None:
    revoked, secret = trial.stores.keys.create("acme", "gone", Scope.READ)
    trial.stores.keys.revoke("acme", revoked.id)
    cases = {
        "key_missing": {},
        "key_malformed": bearer("swordfish"),
        "key_unknown": bearer(f"editq_{'a' * 12}_{'b' * 43}"),
        "key_expired": make(trial, lasts_s=-1.0),
        "key_revoked": bearer(secret.text),
    }
    for code, headers in cases.items():
        answer = client.get("/v1/jobs", headers=headers)
        told = 'Bearer realm="editq"' + ("" if code == "key_missing" else ', error="invalid_token"')
        assert (answer.status_code, answer.get_json()["code"]) == (401, code)
        assert answer.headers["WWW-Authenticate"] == told
    assert (
        client.get("/v1/jobs", headers={"Authorization": "Basic eDp5"}).get_json()["code"] == "key_malformed"
    )


def test_a_key_in_the_url_is_none(client: FlaskClient, trial: Trial) -> None:
    text = make(trial)["Authorization"].removeprefix("Bearer ")
    for name in ("key", "api_key", "token", "access_token"):
        assert client.get(f"/v1/jobs?{name}={text}").get_json()["code"] == "key_missing"


def test_no_secret_is_in_answers_or_lines_of_the_log(
    client: FlaskClient, trial: Trial, caplog: pytest.LogCaptureFixture
) -> None:
    headers = make(trial, Scope.READ)
    secret = headers["Authorization"][-43:]
    with caplog.at_level(logging.DEBUG):
        answers = [client.get("/v1/jobs", headers=headers), client.post("/v1/jobs", headers=headers)]
        answers.append(client.get("/v1/jobs", headers=bearer(f"editq_{'a' * 12}_{secret}")))
        answers.append(client.get("/v1/jobs", headers=bearer(f"x{secret}")))
    assert [answer.status_code for answer in answers] == [200, 403, 401, 401]
    said = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert secret not in said + "".join(answer.text + str(answer.headers) for answer in answers)


def test_what_anybody_may_see_needs_no_key(client: FlaskClient) -> None:
    for path in ("/livez", "/readyz", "/", "/openapi.json", "/studio", "/docs/swagger", "/v1/errors"):
        assert client.get(path).status_code == 200, path
    for path in ("/v1/nothing", "/nothing"):
        assert client.get(path).status_code == 401, path


def test_everybodys_work_is_the_operators_alone(client: FlaskClient, trial: Trial) -> None:
    refused = client.post("/v1/queues/gpu/pause", headers=make(trial))
    assert (refused.status_code, refused.get_json()["code"]) == (403, "scope_missing")
    assert "EDITQ_OPERATORS" in refused.get_json()["expected"]
    assert client.post("/v1/queues/gpu/pause", headers=make(trial, tenant="local")).status_code == 200


def test_keys_are_made_listed_rotated_and_revoked(client: FlaskClient, trial: Trial) -> None:
    admin = make(trial)
    wish = {"name": "laptop", "scope": "submit", "lasts_s": 3600}
    answer = client.post("/v1/keys", json=wish, headers=admin)
    made = answer.get_json()
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    assert (made["tenant"], made["scope"], made["name"]) == ("acme", "submit", "laptop")
    assert made["key"].startswith(f"editq_{made['prefix']}_")
    assert client.get("/v1/jobs", headers=bearer(made["key"])).status_code == 200

    listed = client.get(f"/v1/keys?prefix={made['prefix'][:6]}", headers=admin).get_json()["items"]
    assert [key["id"] for key in listed] == [made["id"]]
    assert "key" not in listed[0]
    assert listed[0]["last_used_at"] is not None
    assert len(client.get("/v1/keys", headers=admin).get_json()["items"]) == 2
    assert client.get(answer.headers["Location"], headers=admin).get_json() == listed[0]

    rotated = client.post(f"/v1/keys/{made['id']}/rotate", json={"grace_s": 60}, headers=admin).get_json()
    for text in (made["key"], rotated["key"]):
        assert client.get("/v1/jobs", headers=bearer(text)).status_code == 200
    revoked = client.post(f"/v1/keys/{rotated['id']}/revoke", headers=admin)
    assert revoked.get_json()["revoked_at"] is not None
    assert client.get("/v1/jobs", headers=bearer(rotated["key"])).get_json()["code"] == "key_revoked"


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"name": "x"}, "scope"),
        ({"name": "", "scope": "read"}, "name"),
        ({"name": "x", "scope": "root"}, "scope"),
        ({"name": "x", "scope": "read", "lasts_s": 0}, "lasts_s"),
        ({"name": "x", "scope": "read", "tenant": "other"}, "tenant"),
    ],
)
def test_a_wrong_wish_names_its_member(
    client: FlaskClient, trial: Trial, wish: dict[str, Any], field: str
) -> None:
    answer = client.post("/v1/keys", json=wish, headers=make(trial))
    assert (answer.status_code, answer.get_json()["field"]) == (422, field)


def test_a_note_of_the_last_use_that_fails_refuses_nobody(
    client: FlaskClient, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StorageUnavailable("away")

    headers = make(trial)
    monkeypatch.setattr(trial.stores.keys, "used", away)
    assert client.get("/v1/jobs", headers=headers).status_code == 200
    monkeypatch.setattr(trial.stores.keys, "stored", away)
    assert client.get("/v1/jobs", headers=headers).status_code == 503


def test_a_route_without_a_scope_keeps_the_service_from_starting() -> None:
    stated = [name for name in OPEN | READ if scope_of(name) in (None, Scope.READ)]
    with pytest.raises(ScopeNotStated, match=r"views\.new"):
        check_stated([*stated, "views.new"])
    with pytest.raises(ScopeNotStated, match=r"jobs\.submit_job"):  # stated, but not there
        check_stated(stated)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "editq.example"])
def test_another_address_than_loopback_asks_for_keys(host: str) -> None:
    assert Settings(host=host).keys_required is True
    with pytest.raises(ValidationError, match="keys_required must be true"):
        Settings(host=host, keys_required=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_does_not(host: str) -> None:
    assert Settings(host=host).keys_required is False
    assert Settings(host=host, keys_required=True).keys_required is True


def test_sockets_elsewhere_are_not_opened_without_keys() -> None:
    check_doors(Settings(), [("127.0.0.1", 8000), ("::1", 8000, 0, 0)])
    for name in (("0.0.0.0", 8000), ("::", 8000, 0, 0), "/run/editq.sock"):
        with pytest.raises(NotOpened, match="python -m workers"):
            check_doors(Settings(), [name])
        check_doors(Settings(keys_required=True), [name])


def test_without_any_key_a_service_that_asks_for_them_does_not_start() -> None:
    keys, settings = MemoryKeys(), Settings(keys_required=True)
    with pytest.raises(NotOpened, match="python -m workers"):
        check_keys(settings, keys)
    check_keys(Settings(), keys)
    keys.create("acme", "first", Scope.ADMIN)
    check_keys(settings, keys)
