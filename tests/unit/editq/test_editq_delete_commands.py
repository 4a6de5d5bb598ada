"""Jobs and models deleted at the terminal, against the real API over memory stores."""

import dataclasses

import pytest
from click.testing import CliRunner
from on_a_port import on_a_port

from api.app import create_app
from editq import Client
from editq.cli import main
from storage import errors
from storage.library_records import Model, Part
from storage.memory import memory_stores
from storage.records import LOCAL_TENANT, SYSTEM_TENANT, ObjectRef, new_id
from storage.settings import Settings

CARS = Model(
    new_id(),
    SYSTEM_TENANT,
    "cars",
    "d" * 64,
    16,
    (Part(0, "sky", (1, 2, 3)),),
    {},
    {"generator": ObjectRef("system/models/cars/d/g", "a" * 64, 3, "application/octet-stream")},
    {},
    0.0,
)


@pytest.fixture
def url():
    stores = memory_stores()
    stores.library.put_model(CARS)
    stores.library.put_model(dataclasses.replace(CARS, id=new_id(), tenant_id=LOCAL_TENANT, name="mine"))
    app = create_app(Settings(), stores, lambda queue, job_id: None)
    with on_a_port(app) as address:
        yield address


def run(url, *arguments):
    result = CliRunner().invoke(main, list(arguments), env={"EDITQ_URL": url})
    assert "Traceback" not in result.output
    return result


def test_a_job_is_deleted_once_it_has_ended(url):
    with Client(url) as client:
        job = client.submit({"kind": "sample", "seed": 1})["id"]
        refused = run(url, "jobs", "delete", job)
        assert refused.exit_code != 0
        client.cancel(job)
        assert run(url, "jobs", "delete", job).output.strip() == "deleted"
        with pytest.raises(errors.NotFound):
            client.get(job)


def test_a_model_of_ones_own_is_deleted_and_a_bundled_one_is_not(url):
    with Client(url) as client:
        assert run(url, "models", "delete", "mine").output.strip() == "deleted"
        assert [model["name"] for model in client.models()] == ["cars"]
        assert run(url, "models", "delete", "cars").exit_code != 0
        assert [model["name"] for model in client.models()] == ["cars"]
