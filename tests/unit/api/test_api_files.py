"""Files: kept as they came, by their content, and nothing kept of what is not as it was announced."""

import dataclasses
import hashlib
from typing import Any

import pytest
from api_trial import Trial
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder, run_wsgi_app
from werkzeug.wrappers import Response

from api import file_upload
from storage.settings import Settings

SHARD = b"a tar shard, say" * 1000
SHA256 = hashlib.sha256(SHARD).hexdigest()
MAX_BYTES = 3_000_000


@pytest.fixture
def settings() -> Settings:
    return Settings(max_body_bytes=2_000_000, max_file_bytes=MAX_BYTES)


def send(client: FlaskClient, data: bytes = SHARD, query: str = "", **options: Any) -> Any:
    options = {"content_type": "application/x-tar", **options}
    return client.post(f"/v1/files{query}", data=data, **options)


def kept(trial: Trial) -> tuple[int, int]:
    """Records and objects that there are."""
    return len(trial.stores.library.list_files("local").items), len(list(trial.stores.objects.list("")))


def test_a_file_is_kept_as_it_was_sent(client: FlaskClient, trial: Trial) -> None:
    answer = send(client, query="?filename=shard-000.tar")
    file = answer.get_json()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/v1/files/{file['id']}")
    assert (file["sha256"], file["byte_size"]) == (SHA256, len(SHARD))
    assert (file["media_type"], file["filename"]) == ("application/x-tar", "shard-000.tar")
    assert client.get(f"/v1/files/{file['id']}").get_json() == file
    content = client.get(file["url"])
    assert content.data == SHARD
    assert content.headers["Content-Disposition"].startswith("attachment")
    assert list(trial.stores.objects.list("")) == [f"local/files/{SHA256}"]


def test_the_same_content_again_is_the_same_file(client: FlaskClient, trial: Trial) -> None:
    first, again = send(client, query="?filename=a.tar"), send(client, query="?filename=b.tar")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.get_json() == first.get_json()
    assert kept(trial) == (1, 1)


def test_a_file_is_looked_up_by_its_digest(client: FlaskClient) -> None:
    file = send(client).get_json()
    send(client, b"another")
    assert client.get(f"/v1/files?sha256={SHA256}").get_json()["items"] == [file]
    assert client.get(f"/v1/files?sha256={'0' * 64}").get_json()["items"] == []
    assert client.get("/v1/files?sha256=abc").get_json()["field"] == "sha256"


def test_the_list_is_newest_first_and_pages_by_link(client: FlaskClient) -> None:
    ids = [send(client, data).get_json()["id"] for data in (b"a", b"b", b"c")]
    first = client.get("/v1/files?limit=2")
    assert [file["id"] for file in first.get_json()["items"]] == [ids[2], ids[1]]
    second = client.get(first.headers["Link"].split(">")[0].lstrip("<"))
    assert [file["id"] for file in second.get_json()["items"]] == [ids[0]]


@pytest.mark.parametrize("way", ["query", "header", "both"])
def test_what_is_as_announced_is_taken(client: FlaskClient, way: str) -> None:
    query = "" if way == "header" else f"?sha256={SHA256}"
    headers = {} if way == "query" else {"X-Content-SHA256": SHA256}
    assert send(client, query=query, headers=headers).status_code == 201


def test_what_is_not_as_announced_is_refused_and_leaves_nothing(client: FlaskClient, trial: Trial) -> None:
    for options in (
        {"query": f"?sha256={'0' * 64}"},
        {"headers": {"X-Content-SHA256": "0" * 64}},
        {"query": f"?sha256={SHA256}", "headers": {"X-Content-SHA256": "0" * 64}},
        {"data": SHARD[:-1], "query": f"?sha256={SHA256}"},
    ):
        problem = send(client, **options).get_json()  # type: ignore[arg-type]
        assert (problem["status"], problem["code"], problem["field"]) == (422, "digest_mismatch", "sha256")
    for options in ({"query": "?sha256=ABC"}, {"headers": {"X-Content-SHA256": "ABC"}}):
        assert send(client, **options).status_code == 422  # type: ignore[arg-type]
    assert kept(trial) == (0, 0)


def sent(trial: Trial, data: bytes, announced: int | None) -> Any:
    """The answer to a body whose announced length is this, None for one in chunks. (Flask's client would set
    it right.)"""
    here = {"REMOTE_ADDR": "127.0.0.1"}
    request = EnvironBuilder("/v1/files", method="POST", data=data, content_type="a/b", environ_base=here)
    environ = request.get_environ()
    if announced is None:
        del environ["CONTENT_LENGTH"]
        environ["wsgi.input_terminated"] = True
    else:
        environ["CONTENT_LENGTH"] = str(announced)
    return Response(*run_wsgi_app(trial.app, environ, buffered=True))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused_and_one_at_the_limit_is_not(trial: Trial, chunked: bool) -> None:
    answer = sent(trial, bytes(MAX_BYTES + 1), None if chunked else MAX_BYTES + 1)
    problem = answer.get_json()
    assert (answer.status_code, problem["code"], problem["field"]) == (413, "body_too_large", "body")
    assert problem["expected"] == f"at most {MAX_BYTES} bytes"
    assert kept(trial) == (0, 0)
    answer = sent(trial, bytes(MAX_BYTES), None if chunked else MAX_BYTES)
    assert answer.status_code == 201


def test_a_body_that_is_cut_off_leaves_nothing(trial: Trial) -> None:
    answer = sent(trial, SHARD, len(SHARD) + 1)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "malformed_body")
    assert kept(trial) == (0, 0)


def test_an_empty_body_is_no_file(client: FlaskClient, trial: Trial) -> None:
    answer = send(client, b"")
    assert (answer.status_code, answer.get_json()["field"]) == (422, "body")
    assert kept(trial) == (0, 0)


def test_a_form_and_a_compressed_body_are_refused(client: FlaskClient, trial: Trial) -> None:
    for options, field in (
        ({"content_type": "multipart/form-data; boundary=x"}, "Content-Type"),
        ({"headers": {"Content-Encoding": "gzip"}}, "Content-Encoding"),
    ):
        answer = send(client, **options)  # type: ignore[arg-type]
        assert (answer.status_code, answer.get_json()["field"]) == (415, field)
    assert kept(trial) == (0, 0)


@pytest.mark.parametrize(
    ("said", "media_type"),
    [
        ("application/x-tar", "application/x-tar"),
        ("application/x-www-form-urlencoded", "application/octet-stream"),
        ("no type at all", "application/octet-stream"),
        ("a/" + "b" * 200, "application/octet-stream"),
    ],
)
def test_a_type_that_is_none_counts_as_any_bytes(client: FlaskClient, said: str, media_type: str) -> None:
    assert send(client, content_type=said).get_json()["media_type"] == media_type


def test_a_deleted_file_is_gone_with_its_object(client: FlaskClient, trial: Trial) -> None:
    file_id = send(client).get_json()["id"]
    assert client.delete(f"/v1/files/{file_id}").status_code == 204
    assert kept(trial) == (0, 0)
    for answer in (client.get(f"/v1/files/{file_id}"), client.delete(f"/v1/files/{file_id}")):
        assert (answer.status_code, answer.get_json()["code"]) == (404, "file_not_found")
    assert send(client).status_code == 201  # the same again, at once
    assert kept(trial) == (1, 1)


@pytest.mark.parametrize("name", ["id", "sha256"])
def test_a_file_that_an_open_job_names_is_not_deleted(client: FlaskClient, trial: Trial, name: str) -> None:
    file = send(client).get_json()
    job = trial.stores.jobs.add("local", "sample", {"kind": "sample", "shards": [{"file": file[name]}]})
    answer = client.delete(f"/v1/files/{file['id']}")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "file_in_use")
    trial.stores.jobs.request_cancel("local", job.id)
    assert client.delete(f"/v1/files/{file['id']}").status_code == 204


def test_another_tenants_file_is_not_there(client: FlaskClient, trial: Trial) -> None:
    file_id = send(client).get_json()["id"]
    mine = trial.stores.library.delete_file("local", file_id)
    trial.stores.library.add_file(dataclasses.replace(mine, tenant_id="somebody"))
    for answer in (
        client.get(f"/v1/files/{file_id}"),
        client.get(f"/v1/files/{file_id}/content"),
        client.delete(f"/v1/files/{file_id}"),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (404, "file_not_found")
    assert client.get(f"/v1/files?sha256={SHA256}").get_json()["items"] == []


def test_while_all_places_are_taken_an_upload_is_put_off(client: FlaskClient, trial: Trial) -> None:
    taken = [file_upload.UPLOADS.acquire(blocking=False) for _ in range(8)]
    try:
        assert all(taken)
        answer = send(client)
        assert (answer.status_code, answer.get_json()["code"]) == (503, "too_many_uploads")
        assert answer.headers["Retry-After"]
    finally:
        for _ in taken:
            file_upload.UPLOADS.release()
    assert kept(trial) == (0, 0)
    assert send(client).status_code == 201
