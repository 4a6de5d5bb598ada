"""Batches by the client, over a socket: from a folder to files again, worked off by the real recipes."""

import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from batch_service import BatchService, serving
from batch_trial import INVERT, png
from worker_trial import Trial

from editq import Client
from editq.folder_pictures import item_id
from storage import errors
from storage.batch_specs import SeedInputs

pytestmark = pytest.mark.thorough

SAMPLES = {"type": "seeds", "seed": 3, "count": 5}
EDIT = {
    "kind": "edit", "model": "cars", "steps": 2,
    "mask_operations": [{"op": "relabel", "part": "rim", "into": "tyre"}],
}  # fmt: skip


@pytest.fixture(autouse=True)
def few_items_a_chunk_and_short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITQ_CHUNK_ITEMS", "2")
    monkeypatch.setattr("editq.client_batches._LONGEST_PAUSE_S", 0.2)


@pytest.fixture
def service(plant: Trial) -> Iterator[BatchService]:
    with serving(plant) as service:
        yield service


@pytest.fixture
def client(service: BatchService) -> Iterator[Client]:
    with Client(service.url) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "lot"
    (home / "été").mkdir(parents=True)
    for number, name in enumerate(("b.png", "a.png", "été/c.png")):
        (home / name).write_bytes(png(number))
    (home / "d.png").write_bytes(b"no picture")
    (home / "e.png").write_bytes(b"")
    return home


@pytest.mark.thorough
def test_a_folder_goes_from_upload_to_files_again(client: Client, folder: Path, tmp_path: Path) -> None:
    batch = client.submit_batch(INVERT, client.upload_folder(folder))
    told: list[str] = []
    batch = client.wait_batch(batch["id"], progress=lambda view: told.append(view["status"]))
    assert (batch["status"], batch["counts"]["items"]) == ("completed_with_errors", 5)
    assert told[-1] == "completed_with_errors"
    fitted = item_id("été/c.png")
    lines = {line["id"]: line for line in client.batch_lines(batch["id"], "results")}
    assert sorted(lines) == sorted(["a.png", "b.png", "d.png", "e.png", fitted])
    errors_by_id = {line["id"]: line["error"]["code"] for line in client.batch_lines(batch["id"], "errors")}
    assert errors_by_id == {"d.png": "unreadable_picture", "e.png": "unreadable_picture"}
    picture = client.result_file(lines[fitted]["result"], "inverted.png")

    client.download_batch(batch["id"], tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.read(f"{fitted}/inverted.png") == picture
        names = set(archive.namelist())
    count = client.unpack_batch(batch["id"], tmp_path / "all")
    written = {
        str(path.relative_to(tmp_path / "all")) for path in (tmp_path / "all").rglob("*.*") if path.is_file()
    }
    assert written == names
    assert len(names) == count
    assert (tmp_path / "all" / fitted / "inverted.png").read_bytes() == picture
    assert json.loads((tmp_path / "all" / "a.png" / "result.json").read_text())["spec"]["kind"] == "invert"
    client.download_batch(batch["id"], tmp_path / "all.tar", "tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all", "all.tar", "all.zip", "cache", "lot"]
    for again in (
        lambda: client.download_batch(batch["id"], tmp_path / "all.zip"),
        lambda: client.unpack_batch(batch["id"], tmp_path / "all"),
    ):
        with pytest.raises(errors.InvalidInput, match="there already"):
            again()


@pytest.mark.thorough
def test_what_failed_is_done_again_alone(client: Client, folder: Path) -> None:
    inputs = client.upload_folder(folder)
    first = client.wait_batch(client.submit_batch(INVERT, inputs)["id"])
    again = client.retry_batch(first["id"])
    assert (again["retry_of"], again["status"]) == (first["id"], "validating")
    again = client.wait_batch(again["id"])
    assert (again["counts"]["items"], again["status"]) == (2, "failed")
    assert [batch["id"] for batch in client.list_batches()] == [again["id"], first["id"]]
    assert [batch["id"] for batch in client.list_batches(status="failed")] == [again["id"]]
    assert len(list(client.list_batches(limit=1))) == 1
    with pytest.raises(errors.OutputNotFound) as caught:
        list(client.batch_lines(first["id"], "colours"))
    assert caught.value.expected == "errors, invalid, items, results"


@pytest.mark.thorough
def test_watching_shows_it_grow_and_ends_with_its_end(client: Client, service: BatchService) -> None:
    service.close()
    batch = client.submit_batch(EDIT, SeedInputs(type="seeds", count=5))
    views = client.watch_batch(batch["id"])
    assert next(views)["status"] == "validating"
    service.open.set()
    seen = list(views)
    assert seen[-1]["counts"]["left"] == 0
    assert seen[-1]["result"]["listed"]
    order = [("validating", "running").index(view["status"]) for view in seen[:-1]]
    assert order == sorted(order)
    assert all("spec" in view and "files" in view for view in seen)
    assert list(client.watch_batch(batch["id"])) == [client.batch(batch["id"])]


@pytest.mark.thorough
def test_watching_goes_on_where_there_is_no_place_for_a_stream(client: Client, service: BatchService) -> None:
    slots = service.app.extensions["editq"].slots
    service.close()
    batch = client.submit_batch(EDIT, SAMPLES)
    taken = list(iter(slots.take, None))
    try:
        threading.Timer(0.3, service.open.set).start()
        assert list(client.watch_batch(batch["id"]))[-1]["counts"]["left"] == 0
    finally:
        for slot in taken:
            slot.release()


class Breaking(httpx.HTTPTransport):
    """Cuts event streams off after their first piece, and once loses the service altogether."""

    streams, away = 0, 2

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/events"):
            if self.streams and self.away:
                self.away -= 1
                raise httpx.ConnectError("away")
            return super().handle_request(request)
        self.streams += 1
        answer = super().handle_request(request)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=Cut(answer.stream))


class Cut(httpx.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            yield piece
            if b"data:" in piece:
                raise httpx.ReadError("cut off")

    def close(self) -> None:
        self._stream.close()


@pytest.mark.thorough
def test_a_stream_that_breaks_is_opened_again_and_a_service_that_is_away_is_waited_for(
    service: BatchService,
) -> None:
    service.close()
    wire = Breaking()
    with Client(service.url, transport=wire) as client:
        batch = client.submit_batch(EDIT, SAMPLES)
        seen = []
        for view in client.watch_batch(batch["id"]):
            seen.append(view["status"])
            if wire.streams == 2:
                service.open.set()
        assert seen[-1] in ("succeeded", "completed_with_errors", "failed")
    assert wire.streams >= 2
    assert wire.away == 0


def test_a_batch_is_paused_moved_resumed_and_canceled(client: Client, service: BatchService) -> None:
    service.close()
    batch_id = client.submit_batch(EDIT, SAMPLES, options={"priority": "standard"})["id"]
    assert client.pause_batch(batch_id)["paused"] is True
    assert client.prioritise_batch(batch_id, "bulk")["priority"] == "bulk"
    with pytest.raises(TimeoutError, match="still validating"):
        client.wait_batch(batch_id, timeout_s=0.1)
    assert client.resume_batch(batch_id)["paused"] is False
    assert client.cancel_batch(batch_id)["cancel_requested"] is True
    service.open.set()
    assert client.wait_batch(batch_id)["status"] == "canceled"
    with pytest.raises(errors.BatchEnded):
        client.pause_batch(batch_id)


def test_a_key_names_one_batch_and_a_dry_run_begins_nothing(client: Client, service: BatchService) -> None:
    first = client.submit_batch(EDIT, SAMPLES, dry_run=True, idempotency_key="monday")
    assert client.submit_batch(EDIT, SAMPLES, dry_run=True, idempotency_key="monday")["id"] == first["id"]
    ended = client.wait_batch(first["id"])
    assert (ended["status"], ended["counts"]["items"], ended["counts"]["succeeded"]) == ("succeeded", 5, 0)
    assert ended["result"]["estimate"] is None
    with pytest.raises(errors.BatchNotEnded):
        client.download_batch(first["id"], Path("nothing.zip"))
    with pytest.raises(errors.InvalidInput) as caught:
        client.submit_batch({"kind": "sample"}, SAMPLES)
    assert caught.value.field == "spec"
