"""Every operation of the OpenAPI document with no key, an expired one, too small a scope, and with ids of
another tenant's: made from the document, so that none is missed."""

import re

import pytest
from api_trial import Trial
from flask.testing import FlaskClient
from operations import ALL, KEYED, NAMING, SETTINGS, Operation, Theirs, ask, called

from storage.key_records import Scope
from storage.settings import Settings

pytestmark = pytest.mark.thorough


@pytest.fixture
def settings() -> Settings:
    return SETTINGS


def test_all_operations_are_asked() -> None:
    assert len(ALL) > 50
    assert {operation.name for operation in ALL if operation.scope is None} == {
        *("livez", "readyz", "listErrors", "getError"),
    }


@called(KEYED)
def test_without_a_key_it_is_401(client: FlaskClient, operation: Operation) -> None:
    answer = ask(client, operation, None)
    assert (answer.status_code, answer.get_json()["code"]) == (401, "key_missing")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@called(KEYED)
def test_with_an_expired_or_revoked_key_it_is_401(
    client: FlaskClient, trial: Trial, operation: Operation
) -> None:
    _, expired = trial.stores.keys.create("acme", "old", Scope.ADMIN, lasts_s=-1.0)
    revoked, gone = trial.stores.keys.create("local", "gone", Scope.ADMIN)
    trial.stores.keys.revoke("local", revoked.id)
    assert ask(client, operation, expired.text).get_json()["code"] == "key_expired"
    answer = ask(client, operation, gone.text)
    assert (answer.status_code, answer.get_json()["code"]) == (401, "key_revoked")


@called([operation for operation in KEYED if operation.scope is not Scope.READ])
def test_with_too_small_a_scope_it_is_403(client: FlaskClient, trial: Trial, operation: Operation) -> None:
    assert operation.scope is not None
    for scope in Scope:
        _, secret = trial.stores.keys.create("local", "a key", scope)
        answer = ask(client, operation, secret.text)
        if scope.allows(operation.scope):
            assert answer.status_code not in (401, 403)
        else:
            assert (answer.status_code, answer.get_json()["code"]) == (403, "scope_missing")


@called([operation for operation in KEYED if operation.scope is Scope.READ])
def test_a_key_that_may_read_changes_nothing(client: FlaskClient, operation: Operation) -> None:
    assert operation.method == "get"


@pytest.fixture
def theirs(trial: Trial) -> Theirs:
    return Theirs(trial, "globex")


@called(NAMING)
def test_what_another_tenant_has_is_not_there(
    client: FlaskClient, trial: Trial, theirs: Theirs, operation: Operation
) -> None:
    _, mine = trial.stores.keys.create("acme", "mine", Scope.ADMIN)
    names = theirs.of(operation)
    missing = set(re.findall(r"\{(\w+)\}", operation.path)) - set(names)
    assert not missing, f"Theirs must have a {missing} for {operation.name}"
    answer = ask(client, operation, mine.text, names)
    assert (answer.status_code, answer.get_json()["status"]) == (404, 404)
    assert answer.get_json()["code"].endswith("not_found")


@called([operation for operation in NAMING if operation.method == "get" and "watch" not in operation.name])
def test_its_owner_does_see_it(
    client: FlaskClient, trial: Trial, theirs: Theirs, operation: Operation
) -> None:
    """Or the 404s above would prove nothing."""
    if operation.name in ("getBatchFile", "getBatchArchive"):
        pytest.skip("a batch that has just begun has none")
    _, own = trial.stores.keys.create("globex", "own", Scope.ADMIN)
    assert ask(client, operation, own.text, theirs.of(operation)).status_code in (200, 202, 409)


@called([operation for operation in KEYED if operation.name.startswith("list") and operation not in NAMING])
def test_lists_show_nothing_of_another_tenants(
    client: FlaskClient, trial: Trial, theirs: Theirs, operation: Operation
) -> None:
    _, mine = trial.stores.keys.create("acme", "mine", Scope.ADMIN)
    answer = ask(client, operation, mine.text, theirs.of(operation))
    assert not any(name in answer.text for name in (*theirs.names.values(), "secret-model"))
