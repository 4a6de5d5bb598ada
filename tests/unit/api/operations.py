"""Every operation of the OpenAPI document, how it is asked, and something of another tenant's for each."""

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


def ask(
    client: FlaskClient, operation: Operation, key: str | None, names: dict[str, str] | None = None
) -> TestResponse:
    path = re.sub(r"\{(\w+)\}", lambda found: (names or {}).get(found[1], "a" * 32), operation.path)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return client.open(
        path, method=operation.method.upper(), headers=headers, json=BODIES.get(operation.name)
    )


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
