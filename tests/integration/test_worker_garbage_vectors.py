"""The garbage collector and the library: what a vector or a saved inversion names stays, no longer."""

import io
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from job_steps import claimed
from safetensors.numpy import save
from store_records import Records
from test_store_contracts_library import model
from test_store_contracts_vectors import DIGEST, inversion, left_by, unused_for
from test_worker_garbage import collecting, garbage, kept, put, service, stores_of

from storage.library_records import Kept
from storage.objects import FileObjects, vector_key
from storage.stores import Stores

FILE = save({"delta_w": np.ones((10, 16), np.float32)})  # of model(): 64 px
LATER = {"outputs_kept_s": 1e-6, "jobs_kept_s": 1e-6}


@pytest.fixture
def stores(records: Records, tmp_path: Path) -> Stores:
    return stores_of(records, FileObjects(tmp_path / "objects"))


def test_what_a_job_left_in_the_library_outlives_it_and_goes_with_its_record(
    records: Records, stores: Stores
) -> None:
    claim = claimed(stores.jobs)
    learned, saved = left_by(claim), inversion(claim)
    delta_w, w_plus = learned.files["delta_w"].key, saved.files["w_plus"].key
    outputs = {"delta_w.safetensors": put(stores, delta_w), "w_plus.safetensors": put(stores, w_plus)}
    outputs["edited.png"] = put(stores, delta_w.replace("delta_w.safetensors", "edited.png"))
    stores.jobs.succeed(claim, outputs, {}, kept=Kept(vectors=(learned,), inversions=(saved,)))
    garbage(stores, **LATER).tidy()
    assert stores.jobs.list("local").items == ()
    garbage(stores).tidy()
    assert kept(stores) == {delta_w, w_plus}
    unused_for(records, 3600)
    garbage(stores, keep_inversions_s=7200).tidy()
    assert stores.library.inversion("local", DIGEST) is not None
    unused_for(records, 3600)
    garbage(stores, keep_inversions_s=1800).tidy()
    garbage(stores).tidy()
    assert stores.library.inversion("local", DIGEST) is None
    assert kept(stores) == {delta_w}
    stores.library.delete_vector("local", learned.id)
    garbage(stores).tidy()
    garbage(stores).tidy()
    assert kept(stores) == set()


def test_an_imported_vector_stays_until_its_last_record_is_gone(stores: Stores) -> None:
    stores.library.put_model(model("local"))
    orphan = put(stores, vector_key("local", "a" * 64)).key
    client = service(stores)
    ids = [imported(client) for _ in range(2)]
    (key,) = kept(stores) - {orphan}
    for vector_id in ids:
        garbage(stores).tidy()
        garbage(stores).tidy()
        assert kept(stores) == {key}
        stores.library.delete_vector("local", vector_id)
    garbage(stores).tidy()
    garbage(stores).tidy()
    assert kept(stores) == set()


def test_imports_and_the_collector_at_once_leave_every_vector_whole(stores: Stores) -> None:
    stores.library.put_model(model("local"))
    client = service(stores)
    with collecting(stores):
        for _ in range(4):
            vector_id = imported(client)
            ref = stores.library.get_vector("local", vector_id).files["delta_w"]
            assert len(stores.objects.get(ref)) == ref.byte_size
            stores.library.delete_vector("local", vector_id)


def imported(client: FlaskClient) -> str:
    """The id of a vector, sent until it is taken, as callers do."""
    while True:
        form = {"file": (io.BytesIO(FILE), "x"), "model": "cars", "name": "wheels"}
        answer = client.post("/v1/vectors", data=form)
        if answer.status_code != 503:
            assert answer.status_code == 201, answer.text
            return str(answer.get_json()["id"])
