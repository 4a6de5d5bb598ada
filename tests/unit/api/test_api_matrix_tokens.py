"""Every operation of the OpenAPI document with tokens of an issuer that do not hold, or hold for less."""

import re
from collections.abc import Iterator

import pytest
from api_trial import Trial
from flask.testing import FlaskClient
from operations import KEYED, NAMING, SETTINGS, Operation, Theirs, ask, called
from token_issuer import AUDIENCE, Issuer, encoded, issuing

from storage.key_records import Scope
from storage.oidc_settings import OidcSettings
from storage.settings import Settings

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as found:
        yield found


@pytest.fixture
def settings(issuer: Issuer) -> Settings:
    oidc = OidcSettings(issuer=issuer.address, audience=AUDIENCE, networks=("127.0.0.0/8",))
    return SETTINGS.model_copy(update={"oidc": oidc})


@called(KEYED)
def test_with_a_token_that_does_not_hold_it_is_401(
    client: FlaskClient, issuer: Issuer, operation: Operation
) -> None:
    """An admin's, of the tenant `local`, who might do anything but for the one fault."""
    whole = {"scope": "editq:admin", "tenant": "local"}
    header, claims, signature = issuer.token(**whole).split(".")
    nobody = encoded({"typ": "JWT", "alg": "none", "kid": "rsa"})
    wrong = {
        issuer.token(**whole, exp=1_000_000_000): "token_expired",
        issuer.token(**whole, aud="another"): "token_foreign",
        issuer.token(**whole, iss="https://login.example.org"): "token_foreign",
        issuer.token("rsa-foreign", headers={"kid": "rsa"}, **whole): "token_refused",
        f"{nobody}.{claims}.": "token_refused",
        f"{nobody}.{claims}.{signature}": "token_refused",
        f"{header}.{encoded({'sub': 'mallory'})}.{signature}": "token_refused",
    }
    for token, code in wrong.items():
        answer = ask(client, operation, token)
        assert (answer.status_code, answer.get_json()["code"]) == (401, code)
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@called(KEYED)
def test_a_token_opens_what_its_scope_allows_and_no_more(
    client: FlaskClient, issuer: Issuer, operation: Operation
) -> None:
    assert operation.scope is not None
    for scope in (None, "openid profile", *(f"editq:{each}" for each in Scope)):
        answer = ask(client, operation, issuer.token(scope=scope, tenant="local"))
        if (scope or "").startswith("editq:") and Scope(scope[6:]).allows(operation.scope):
            assert answer.status_code not in (401, 403)
        else:
            assert (answer.status_code, answer.get_json()["code"]) == (403, "scope_missing")


@called(KEYED)
def test_a_token_that_names_no_tenant_opens_nothing(
    client: FlaskClient, issuer: Issuer, operation: Operation
) -> None:
    for tenant in (None, "system", "../local"):
        answer = ask(client, operation, issuer.token(scope="editq:admin", tenant=tenant))
        assert (answer.status_code, answer.get_json()["code"]) == (403, "tenant_missing")


@called(NAMING)
def test_what_another_tenant_has_is_not_there(
    client: FlaskClient, trial: Trial, issuer: Issuer, operation: Operation
) -> None:
    names = Theirs(trial, "globex").of(operation)
    assert set(re.findall(r"\{(\w+)\}", operation.path)) <= set(names)
    answer = ask(client, operation, issuer.token(scope="editq:admin", tenant="acme"), names)
    assert answer.status_code == 404
    assert answer.get_json()["code"].endswith("not_found")
