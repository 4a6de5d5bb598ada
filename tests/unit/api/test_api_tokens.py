"""Bearer tokens of an OIDC issuer, over a small real one on loopback: discovery, keys, rotation, and all
that a token may be wrong in."""

import base64
import hashlib
import hmac
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from api_trial import Trial
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask.testing import FlaskClient
from pydantic import ValidationError
from token_issuer import AUDIENCE, PRIVATE, Issuer, encoded, issuing, public_jwk

from api import issuer as issuer_module
from api.doors import NotOpened, check_keys
from api.issuer import DISCOVERY
from storage.key_records import Scope
from storage.log import JsonLines
from storage.oidc_settings import OidcSettings
from storage.settings import Settings

pytestmark = pytest.mark.thorough


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as found:
        yield found


@pytest.fixture
def oidc(issuer: Issuer) -> dict[str, Any]:
    return {"issuer": issuer.address, "audience": AUDIENCE, "networks": ["127.0.0.0/8"]}


@pytest.fixture
def settings(oidc: dict[str, Any]) -> Settings:
    return Settings(max_body_bytes=2_000_000, keys_required=True, oidc=OidcSettings(**oidc))


def ask(client: FlaskClient, token: str, path: str = "/v1/jobs", **body: Any) -> tuple[int, str | None]:
    headers = {"Authorization": f"Bearer {token}"}
    found = client.post(path, json=body, headers=headers) if body else client.get(path, headers=headers)
    return found.status_code, (found.get_json() or {}).get("code")


@pytest.mark.parametrize("key", ["rsa", "ec", "ed"])
def test_who_comes_with_a_token_acts_for_its_tenant_within_its_scope(
    client: FlaskClient, trial: Trial, issuer: Issuer, key: str
) -> None:
    token = issuer.token(key)
    assert ask(client, token, kind="sample")[0] == 202
    assert [job.kind for job in trial.stores.jobs.list("acme").items] == ["sample"]
    assert trial.stores.jobs.list("local").items == ()
    assert ask(client, token, "/v1/keys") == (403, "scope_missing")
    assert ask(client, issuer.token(key, scope="editq:read"), kind="sample") == (403, "scope_missing")
    assert ask(client, issuer.token(key, scope=["a", "editq:admin", "editq:read"]), "/v1/keys")[0] == 200
    assert issuer.asked == [DISCOVERY, "/keys"]  # once for all of them


def test_keys_of_the_service_hold_beside_tokens(client: FlaskClient, trial: Trial, issuer: Issuer) -> None:
    key = trial.stores.keys.create("other", "laptop", Scope.READ)[1].text
    assert ask(client, key) == (200, None)
    assert ask(client, key[:-1] + ("A" if key[-1] != "A" else "B")) == (401, "key_unknown")
    assert client.get("/v1/jobs").get_json()["code"] == "key_missing"
    assert issuer.asked == []
    assert ask(client, issuer.token()) == (200, None)


def test_a_token_in_a_url_is_not_read(client: FlaskClient, issuer: Issuer) -> None:
    answer = client.get(f"/v1/jobs?access_token={issuer.token()}")
    assert (answer.status_code, answer.get_json()["code"]) == (401, "key_missing")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"exp": 1_000_000_000}, "token_expired"),
    "without an end": ({"exp": None}, "token_refused"),
    "not yet": ({"nbf": 4_000_000_000}, "token_early"),
    "issued later": ({"iat": 4_000_000_000}, "token_early"),
    "another audience": ({"aud": "another"}, "token_foreign"),
    "other audiences": ({"aud": ["another", "third"]}, "token_foreign"),
    "without an audience": ({"aud": None}, "token_refused"),
    "another issuer": ({"iss": "https://login.example.org"}, "token_foreign"),
    "without an issuer": ({"iss": None}, "token_refused"),
    "for nobody": ({"sub": None}, "token_refused"),
    "a subject that is no text": ({"sub": {"a": 1}}, "token_refused"),
    "an end that is none": ({"exp": float("inf")}, "token_refused"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_token_that_does_not_hold_is_refused_by_name(
    client: FlaskClient, issuer: Issuer, wrong: str
) -> None:
    claims, code = WRONG[wrong]
    headers = {"Authorization": f"Bearer {issuer.token(**claims)}"}
    answer = client.get("/v1/jobs", headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (401, code)
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert headers["Authorization"].split(".")[1] not in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"tenant": None}, "tenant_missing"),
        ({"tenant": "system"}, "tenant_missing"),
        ({"tenant": "../acme"}, "tenant_missing"),
        ({"tenant": ["acme"]}, "tenant_missing"),
        ({"scope": None}, "scope_missing"),
        ({"scope": "openid profile"}, "scope_missing"),
        ({"scope": {"editq:admin": True}}, "scope_missing"),
    ],
)
def test_a_token_without_tenant_or_scope_may_nothing(
    client: FlaskClient, issuer: Issuer, claims: dict[str, Any], code: str
) -> None:
    assert ask(client, issuer.token(**claims)) == (403, code)


def test_a_token_that_nobody_signed_is_refused(client: FlaskClient, issuer: Issuer) -> None:
    claims = issuer.token().split(".")[1]
    for algorithm in ("none", "None", "NONE", None, "", 7, ["RS256"]):
        header = encoded({"typ": "JWT", "alg": algorithm, "kid": "rsa"})
        for signature in ("", issuer.token().split(".")[2]):
            status, code = ask(client, f"{header}.{claims}.{signature}")
            assert (status, code) in {(401, "token_refused"), (401, "token_malformed")}


@pytest.mark.parametrize("form", [PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1])
def test_a_public_key_is_no_secret_to_sign_with(
    client: FlaskClient, issuer: Issuer, form: PublicFormat
) -> None:
    """HS256, with what everybody may read as the secret: the classic confusion."""
    public = PRIVATE["rsa"].public_key().public_bytes(Encoding.PEM, form)
    claims = issuer.token().split(".")[1]
    for algorithm, digest in (("HS256", hashlib.sha256), ("HS512", hashlib.sha512)):
        signed = f"{encoded({'typ': 'JWT', 'alg': algorithm, 'kid': 'rsa'})}.{claims}"
        for secret in (public, public.rstrip()):
            token = f"{signed}.{encoded(hmac.new(secret, signed.encode(), digest).digest())}"
            assert ask(client, token) == (401, "token_refused")


def test_a_symmetric_key_that_the_issuer_publishes_is_not_used(client: FlaskClient, issuer: Issuer) -> None:
    secret = b"s" * 64
    issuer.keys["rsa"] = {"kty": "oct", "k": encoded(secret)}
    token = jwt.encode({"iss": issuer.address, "aud": AUDIENCE}, secret, "HS256", headers={"kid": "rsa"})
    assert ask(client, token) == (401, "token_refused")
    assert ask(client, issuer.token()) == (401, "token_refused")
    assert ask(client, issuer.token("ec")) == (200, None)


def test_another_key_changed_claims_and_unknown_names_are_refused(
    client: FlaskClient, issuer: Issuer
) -> None:
    assert ask(client, issuer.token("rsa-foreign", headers={"kid": "rsa"})) == (401, "token_refused")
    assert ask(client, issuer.token("rsa", headers={"kid": "ec"})) == (401, "token_refused")
    assert ask(client, issuer.token(headers={})) == (401, "token_refused")  # of which of its keys?
    own = {"jwk": public_jwk(PRIVATE["rsa-foreign"]), "jku": f"{issuer.address}/mine"}
    assert ask(client, issuer.token("rsa-foreign", headers=own)) == (401, "token_refused")
    header, claims, signature = issuer.token().split(".")
    changed = json.loads(base64.urlsafe_b64decode(claims + "==")) | {"tenant": "victim"}
    assert ask(client, f"{header}.{encoded(changed)}.{signature}") == (401, "token_refused")
    assert "/mine" not in issuer.asked


@pytest.mark.parametrize("text", ["x", "a.b", "a.b.c", "..", "é.b.c", "a" * 20_000, f"{'W1' * 4000}.b.c"])
def test_what_is_neither_key_nor_token_is_told_so(client: FlaskClient, issuer: Issuer, text: str) -> None:
    assert ask(client, text) == (401, "token_malformed")
    assert issuer.asked == []


def test_a_token_without_a_name_of_its_key_holds_where_the_issuer_has_one_key(
    client: FlaskClient, issuer: Issuer
) -> None:
    issuer.keys = {"rsa": {"use": "sig", "alg": "RS256"}}
    assert ask(client, issuer.token(headers={})) == (200, None)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("more", [{"use": "enc"}, {"alg": "RS512"}, {"n": "AQAB"}, {"kty": "strange"}])
def test_keys_for_other_uses_are_passed_over(
    client: FlaskClient, issuer: Issuer, more: dict[str, Any]
) -> None:
    issuer.keys = {"rsa": more, "rsa-short": {}, "rsa-next": {}}
    assert ask(client, issuer.token("rsa-next")) == (200, None)
    assert ask(client, issuer.token("rsa")) == (401, "token_refused")
    assert ask(client, issuer.token("rsa-short")) == (401, "token_refused")


def test_keys_are_rotated_without_a_pause_and_strange_names_are_not_asked_for_again_and_again(
    client: FlaskClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(client, issuer.token()) == (200, None)
    issuer.keys = {"rsa-next": {}}
    for _ in range(3):
        assert ask(client, issuer.token("rsa-next")) == (401, "token_refused")  # asked a moment ago
    assert len(issuer.asked) == 2
    monkeypatch.setattr(issuer_module, "AGAIN_S", 0.0)
    assert ask(client, issuer.token("rsa-next")) == (200, None)
    assert ask(client, issuer.token()) == (401, "token_refused")  # no longer the issuer's
    assert len(issuer.asked) == 6


def test_known_keys_hold_on_while_the_issuer_is_away_and_for_no_longer_than_an_hour(
    client: FlaskClient, trial: Trial, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer_module, "AGAIN_S", 0.0)
    assert ask(client, issuer.token()) == (200, None)
    found = trial.app.extensions["editq"].tokens._issuer
    issuer.status = 500
    found._kept_at -= found.settings.keys_kept_s + 10
    assert ask(client, issuer.token()) == (200, None)
    found._kept_at -= issuer_module.STALE_S
    assert ask(client, issuer.token()) == (503, "issuer_unavailable")
    issuer.status = 200
    assert ask(client, issuer.token()) == (200, None)


@pytest.mark.parametrize(
    "fault", ["another issuer", "redirect", "slow", "private", "large", "plain", "nothing"]
)
def test_an_issuer_that_cannot_be_trusted_is_unavailable(
    client: FlaskClient, trial: Trial, issuer: Issuer, oidc: dict[str, Any], fault: str
) -> None:
    service = trial.app.extensions["editq"]
    match fault:
        case "another issuer":
            issuer.about["issuer"] = "https://login.example.org"
        case "redirect":
            issuer.status = 302
        case "slow":
            issuer.pause_s, oidc = 2.0, oidc | {"timeout_s": 0.2}
        case "private":
            oidc = oidc | {"networks": []}
        case "large":
            issuer.about["padding"] = "x" * issuer_module.MOST_BYTES
        case "plain":
            issuer.about["jwks_uri"] = "http://login.example.org/keys"
        case "nothing":
            issuer.keys = {}
    service.settings = service.settings.model_copy(update={"oidc": OidcSettings(**oidc)})
    service.__post_init__()
    headers = {"Authorization": f"Bearer {issuer.token()}"}
    answer = client.get("/v1/jobs", headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "issuer_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert "/elsewhere" not in issuer.asked
    assert (issuer.asked == []) is (fault == "private")
    asked = len(issuer.asked)
    assert client.get("/v1/jobs", headers=headers).status_code == 503
    assert len(issuer.asked) == asked  # not again at once


def test_requests_that_come_at_once_ask_the_issuer_once(trial: Trial, issuer: Issuer) -> None:
    issuer.pause_s, token, found = 0.1, issuer.token(), []
    threads = [
        threading.Thread(target=lambda: found.append(ask(trial.app.test_client(), token))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(200, None)] * 6
    assert issuer.asked == [DISCOVERY, "/keys"]


def test_who_came_with_a_token_is_in_the_audit_log_and_the_token_is_not(
    client: FlaskClient, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    token = issuer.token()
    with caplog.at_level(logging.DEBUG):
        ask(client, token, kind="sample")
        ask(client, issuer.token(exp=1))
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    told = [line for line in lines if line["logger"] == "editq.audit"]
    assert [(line["status"], line.get("key_id"), line.get("tenant_id")) for line in told] == [
        (202, "oidc:ada", "acme"),
        (401, None, None),
    ]
    assert token.split(".")[2] not in json.dumps(lines)


def test_a_service_with_an_issuer_opens_without_any_key(
    trial: Trial, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_keys(settings, trial.stores.keys)
    with pytest.raises(NotOpened, match="there is none that holds"):
        check_keys(settings.model_copy(update={"oidc": None}), trial.stores.keys)
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(NotOpened, match=r"install editq\[oidc\]"):
        check_keys(settings, trial.stores.keys)


def test_the_environment_names_the_issuer(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"issuer": "https://login.example.org", "audience": "editq", "scopes": {"leads": "admin"}}
    monkeypatch.setenv("EDITQ_OIDC", json.dumps(given))
    found = Settings().oidc
    assert found is not None
    assert (found.issuer, found.scopes) == (given["issuer"], {"leads": Scope.ADMIN})


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://login.example.org"},
        {"issuer": "ftp://login.example.org"},
        {"issuer": "https://user:word@login.example.org"},
        {"issuer": "login.example.org"},
        {"audience": ""},
        {"algorithms": ["HS256"]},
        {"algorithms": ["none"]},
        {"algorithms": []},
        {"networks": ["intranet"]},
        {"scopes": {"editq:all": "everything"}},
        {"audiences": "editq"},
    ],
)
def test_settings_that_would_let_anybody_in_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OidcSettings(**{"issuer": "https://login.example.org", "audience": "editq", **wrong})
