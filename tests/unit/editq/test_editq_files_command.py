"""Files through client and command line, against the real API over memory stores."""

import hashlib
import json

import httpx
import pytest
from click.testing import CliRunner

from api import file_upload
from api.app import create_app
from editq import Client
from editq.cli import main
from storage import errors
from storage.memory import memory_stores
from storage.settings import Settings

SHARD = b"0123456789abcdef" * 200_000


@pytest.fixture
def stores():
    return memory_stores()


@pytest.fixture
def app(stores):
    return create_app(Settings(), stores, lambda queue, job_id: None)


@pytest.fixture
def client(app):
    with Client("http://127.0.0.1", transport=httpx.WSGITransport(app)) as client:
        yield client


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "shard-000.tar"
    path.write_bytes(SHARD)
    return path


def test_a_file_is_uploaded_looked_up_downloaded_and_deleted(client, shard, tmp_path):
    file = client.upload_file(shard)
    assert (file["byte_size"], file["filename"]) == (len(SHARD), "shard-000.tar")
    assert client.file_of(hashlib.sha256(SHARD).hexdigest()) == file == client.get_file(file["id"])
    client.download_file(file["id"], tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == SHARD
    assert list(client.list_files()) == [file]
    client.delete_file(file["id"])
    assert list(client.list_files()) == []
    with pytest.raises(errors.FileNotFound):
        client.get_file(file["id"])


def test_what_is_there_already_is_not_sent_again(client, shard):
    told = []
    file = client.upload_file(shard, told=lambda sent, total: told.append((sent, total)))
    assert (told[0], told[-1]) == ((0, len(SHARD)), (len(SHARD), len(SHARD)))
    assert len(told) == 5  # pieces of 1 MiB
    assert client.upload_file(shard, told=lambda sent, total: pytest.fail("sent again")) == file


class Unreliable(httpx.BaseTransport):
    """Passes requests on, but loses the answers to uploads."""

    def __init__(self, inner, losses):
        self._inner = inner
        self._losses = list(losses)
        self.uploads = 0

    def handle_request(self, request):
        answer = self._inner.handle_request(request)
        if request.method != "POST":
            return answer
        self.uploads += 1
        if not self._losses:
            return answer
        loss = self._losses.pop(0)
        if isinstance(loss, int):
            return httpx.Response(loss, text="busy")
        raise loss


def test_an_upload_whose_answer_was_lost_is_found_and_not_sent_again(app, shard):
    wire = Unreliable(httpx.WSGITransport(app), [httpx.ReadTimeout("lost")])
    with Client("http://127.0.0.1", transport=wire) as client:
        file = client.upload_file(shard)
        assert (file["sha256"], wire.uploads) == (hashlib.sha256(SHARD).hexdigest(), 1)


def test_a_service_that_is_too_busy_is_asked_again_and_not_for_ever(app, shard):
    taken = [file_upload.UPLOADS.acquire(blocking=False) for _ in range(8)]
    try:
        wire = Unreliable(httpx.WSGITransport(app), [])
        with (
            Client("http://127.0.0.1", transport=wire, retry_s=0.5) as client,
            pytest.raises(errors.EditqError, match="as many files as it can"),
        ):
            client.upload_file(shard)
        assert 1 < wire.uploads < 10
    finally:
        for _ in taken:
            file_upload.UPLOADS.release()


def test_the_command_uploads_lists_and_deletes(app, shard, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "editq.cli_service.Client", lambda url, key: Client(url, key=key, transport=httpx.WSGITransport(app))
    )

    def run(*arguments, status=0):
        command = ["files", *map(str, arguments)]
        result = CliRunner().invoke(main, command, env={"EDITQ_URL": "http://127.0.0.1"})
        assert result.exit_code == status, (arguments, result.output, result.exception)
        return result.output

    other = tmp_path / "manifest.json"
    other.write_bytes(b"{}")
    ids = run("upload", shard, other).split()
    assert [file["id"] for file in json.loads(run("list", "--json"))] == ids[::-1]
    assert "shard-000.tar" in run("list")
    assert run("delete", ids[0]) == "deleted\n"
    assert [file["id"] for file in json.loads(run("list", "--json"))] == ids[1:]
    assert "There is no file" in run("delete", ids[0], status=1)
    assert run("delete", ids[1]) == "deleted\n"
    assert run("list") == "No files.\n"
