"""Every operation of the OpenAPI document with no key, an expired one, too small a scope, and with ids of
another tenant's: made from the document, so that none is missed."""

import io
import re
import zipfile
from dataclasses import dataclass
from typing import Any

import pytest
from api_trial import PARTS, Trial, cars, put_vector
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.app import create_app
from storage.batch_records import Batch
from storage.file_records import File
from storage.key_records import Scope
from storage.library_records import Model
from storage.memory import memory_stores
from storage.objects import file_key, image_key, model_key, output_key, result_key
from storage.records import Image, new_id
from storage.settings import Settings

pytestmark = pytest.mark.thorough
SETTINGS = Settings(max_body_bytes=2_000_000, keys_required=True)
# Bodies of operations that name something in their path: right ones, for what is refused is the path.
BODIES: dict[str, Any] = {
    "changeJob": {"priority": "bulk"},
    "changeBatch": {"priority": "bulk"},
    "changeVector": {"name": "mine now"},
    "rotateKey": {"grace_s": 0},
}
# What all tenants share: there is no other's.
SHARED = {"listQueues", "pauseQueue", "resumeQueue", "drainWorker", "undrainWorker", "listWorkers"}


@dataclass(frozen=True)
class Operation:
    name: str
    method: str
    path: str
    scope: Scope | None


def operations() -> list[Operation]:
    app = create_app(SETTINGS, memory_stores(), lambda queue, job_id: None)
    document: dict[str, Any] = app.test_client().get("/openapi.json").get_json()
    found = []
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            scopes = [scope for way in told["security"] for scope in way["key"]]
            scope = Scope(scopes[0]) if scopes else None
            found.append(Operation(told["operationId"], method, path, scope))
    return found


ALL = operations()
KEYED = [operation for operation in ALL if operation.scope is not None]
NAMING = [operation for operation in KEYED if "{" in operation.path and operation.name not in SHARED]


def called(operations: list[Operation]) -> Any:
    return pytest.mark.parametrize("operation", operations, ids=lambda operation: operation.name)


@pytest.fixture
def settings() -> Settings:
    return SETTINGS


def ask(
    client: FlaskClient, operation: Operation, key: str | None, names: dict[str, str] | None = None
) -> TestResponse:
    path = re.sub(r"\{(\w+)\}", lambda found: (names or {}).get(found[1], "a" * 32), operation.path)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return client.open(
        path, method=operation.method.upper(), headers=headers, json=BODIES.get(operation.name)
    )


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


class Theirs:
    """Something of each kind that another tenant has, and the names that paths would have for it."""

    def __init__(self, trial: Trial, tenant: str) -> None:
        stores = trial.stores
        preview = stores.objects.put(
            model_key(tenant, "secret-model", "e" * 64, "preview.png"), b"x", "image/png"
        )
        files = {**cars().files, "preview": preview}
        stores.library.put_model(
            Model(
                new_id(), tenant, "secret-model", "e" * 64, 16, PARTS, {}, files, {}, 0.0
            )
        )  # fmt: skip
        key = image_key(tenant, "a" * 64)
        picture = stores.objects.put(key, b"x", "image/png")
        image = stores.library.add_image(Image(new_id(), tenant, "picture", picture, 1, 1, None, 0.0))
        content = stores.objects.put(file_key(tenant, "b" * 64), b"x", "text/plain")
        file = stores.library.add_file(File(new_id(), tenant, content, None, 0.0))
        job = stores.jobs.add(tenant, "sample", {"kind": "sample"})
        claim = stores.jobs.claim("gpu", "w", lease_s=30)
        assert claim is not None
        output = stores.objects.put(output_key(tenant, job.id, 1, "a.png"), b"x", "image/png")
        stores.jobs.succeed(claim, {"a.png": output}, {})
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("picture.png", b"x")
        stores.objects.put(result_key(tenant, "c" * 64), packed.getvalue(), "application/zip")
        batch: Batch = stores.batches.add(tenant, {"spec": {"kind": "sample"}})
        self.names = {
            "image_id": image.id,
            "file_id": file.id,
            "vector_id": put_vector(trial, tenant_id=tenant),
            "job_id": job.id,
            "batch_id": batch.id,
            "key_id": stores.keys.create(tenant, "theirs", Scope.READ)[0].id,
            "delivery_id": f"{job.id}-1",
            "digest": "c" * 64,
        }
        self.by_operation = {
            "getModel": {"name": "secret-model"},
            "getModelPreview": {"name": "secret-model"},
            "deleteModel": {"name": "secret-model"},
            "getJobOutput": {"name": "a.png"},
            "getVectorFile": {"name": "delta_w"},
            "getBatchFile": {"role": "manifest"},
            "getResultFile": {"name": "picture.png"},
        }

    def of(self, operation: Operation) -> dict[str, str]:
        return self.names | self.by_operation.get(operation.name, {})


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
