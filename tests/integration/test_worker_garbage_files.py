"""Files, the garbage collector, and deletions of the same content: a record never lacks its object."""

import hashlib
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from store_records import Records
from test_store_contracts_races import together
from test_worker_garbage import Between, collecting, garbage, kept, put, service, stores_of

from api.app import create_app
from storage.objects import FileObjects, file_key
from storage.settings import Settings
from storage.stores import Stores

SHARD = b"a shard" * 1000


@pytest.fixture
def stores(records: Records, tmp_path: Path) -> Stores:
    return stores_of(records, FileObjects(tmp_path / "objects"))


def uploaded(client: FlaskClient, data: bytes) -> str:
    """The file's id, sent until it is taken, as callers do."""
    answers = iter(lambda: client.post("/v1/files", data=data), None)
    answer = next(answer for answer in answers if answer.status_code != 503)
    assert answer.status_code in (200, 201), answer.text
    return str(answer.get_json()["id"])


def test_what_an_upload_that_died_left_is_found_and_a_file_stays(stores: Stores) -> None:
    orphan = put(stores, file_key("local", "b" * 64)).key
    uploaded(service(stores), SHARD)
    mine = file_key("local", hashlib.sha256(SHARD).hexdigest())
    garbage(stores, grace_s=3600).tidy()
    assert kept(stores) == {orphan, mine}
    garbage(stores).tidy()
    garbage(stores).tidy()
    assert kept(stores) == {mine}


def test_a_deletion_beside_an_upload_of_the_same_content(records: Records, tmp_path: Path) -> None:
    """The upload's bytes are there, its record is not yet: the deletion takes the bytes away with it."""
    objects = Between(tmp_path / "objects")
    stores = stores_of(records, objects)
    client = service(stores)
    first = uploaded(client, SHARD)
    answers = []
    objects.before_delete = lambda: answers.append(client.post("/v1/files", data=SHARD))
    assert client.delete(f"/v1/files/{first}").status_code == 204
    (answer,) = answers
    assert (answer.status_code, answer.get_json()["code"]) == (503, "storage_unavailable")
    assert stores.library.list_files("local").items == ()
    again = uploaded(client, SHARD)
    assert client.get(f"/v1/files/{again}/content").data == SHARD


def test_uploads_and_deletions_beside_collectors(stores: Stores) -> None:
    app = create_app(Settings(), stores, lambda queue, job_id: None)

    def come_and_go(own: bytes) -> int:
        client = app.test_client()
        for _ in range(4):
            url = f"/v1/files/{uploaded(client, own)}"
            assert client.get(f"{url}/content").data == own
            shared = f"/v1/files/{uploaded(client, SHARD)}"
            assert client.delete(url).status_code == 204
            assert client.delete(shared).status_code in (204, 404)  # the others have the same one
        return 4

    with collecting(stores):
        assert together(*(lambda own=own: come_and_go(own) for own in (b"a", b"b", b"c"))) == [4, 4, 4]
    for file in stores.library.list_files("local").items:
        assert stores.objects.get(file.object) == SHARD
    last = uploaded(app.test_client(), SHARD)
    assert app.test_client().get(f"/v1/files/{last}/content").data == SHARD
