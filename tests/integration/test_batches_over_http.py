"""Batches through the client, with the API under gunicorn on SQLite and files: streams, folders, archives."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_service import Service, serving

from editq import Client
from storage import errors
from storage.batch_records import Chunk
from storage.library_records import Kept
from storage.objects import output_key
from storage.records import Claim, ObjectRef
from storage.results import Results

SPEC = {"kind": "invert"}
DIGESTS = ("ab" * 32, "cd" * 32)


@pytest.fixture(scope="module")
def service(valkey_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("batches"), valkey_url) as service:
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(f"http://127.0.0.1:{service.port}") as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "lot"
    home.mkdir()
    for number in range(40):
        (home / f"{number}.png").write_bytes(bytes([number]) * 50_000)
    return home


def claim(service: Service, queue: str) -> Claim:
    claimed = service.stores.jobs.claim(queue, f"test:1:{queue}", lease_s=60)
    assert claimed is not None
    return claimed


def lines(service: Service, mine: Claim, name: str, *told: Any) -> dict[str, ObjectRef]:
    key = output_key("local", mine.job.id, mine.job.attempt, name)
    data = "".join(json.dumps(line) + "\n" for line in told).encode()
    return {name: service.stores.objects.put(key, data, "application/jsonl")}


def work_off(service: Service, batch_id: str, kept: tuple[str, ...]) -> None:
    """One chunk of two items. kept: digests whose results are really there."""
    mine = claim(service, "cpu")
    outputs = lines(service, mine, "items.jsonl", {}, {}) | lines(service, mine, "invalid.jsonl")
    counts = {"items": 2, "invalid": 0, "chunks": 1, "estimate": None}
    chunk = Chunk(batch_id, 0, 0, 6, "c" * 64, 2)
    service.stores.jobs.succeed(mine, outputs, counts, kept=Kept(chunks=(chunk,)))
    for digest in kept:
        files = {"picture_00.png": bytes(range(256)) * 2000}
        Results(service.stores.objects, "local").put(digest, files, {"figures": {}})
    told = [
        {"id": f"item-{n}", "n": n, "status": "succeeded", "result": digest, "item": {}}
        for n, digest in enumerate(DIGESTS)
    ]
    mine = claim(service, "gpu")
    outcome = {"succeeded": 2, "failed": 0, "canceled": 0, "reused": 0, "errors": {}, "newest": []}
    part = lines(service, mine, "ledger.jsonl", *told)
    service.stores.jobs.succeed(mine, part, outcome | {"device_s": 1.0, "seconds": 2.0})
    mine = claim(service, "cpu")
    outputs = lines(service, mine, "results.jsonl", *told) | lines(service, mine, "errors.jsonl")
    service.stores.jobs.succeed(mine, outputs, {"listed": {"succeeded": 2}})


def test_a_batch_is_watched_while_others_work_on_it(client: Client, service: Service, tmp_path: Path) -> None:
    batch = client.submit_batch(SPEC, {"type": "prefix"})
    threading.Timer(1.0, work_off, [service, batch["id"], DIGESTS]).start()
    began = time.monotonic()
    seen = [(view["status"], time.monotonic() - began) for view in client.watch_batch(batch["id"])]
    assert seen[0][0] == "validating"
    assert seen[-1][0] == "succeeded"
    assert 0.9 < seen[-1][1] < 6, "the stream tells of the end within a look or two"
    assert client.unpack_batch(batch["id"], tmp_path / "all") == 3 + 2 * 2
    client.download_batch(batch["id"], tmp_path / "all.zip")
    assert [line["id"] for line in client.batch_lines(batch["id"], "results")] == ["item-0", "item-1"]
    assert list(client.batch_lines(batch["id"], "errors")) == []


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_an_archive_whose_results_have_gone_is_cut_off_and_leaves_nothing(
    client: Client, service: Service, tmp_path: Path, form: Any
) -> None:
    batch = client.submit_batch(SPEC, {"type": "prefix"})
    work_off(service, batch["id"], DIGESTS)
    service.stores.objects.delete([Results(service.stores.objects, "local").key(DIGESTS[1])])
    with pytest.raises(errors.EditqError):
        client.download_batch(batch["id"], tmp_path / f"all.{form}", form)
    with pytest.raises(errors.EditqError):
        client.unpack_batch(batch["id"], tmp_path / "all")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_goes_up_in_parallel_and_only_once(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("editq.folder_shards.SHARD_BYTES", 200_000)
    first = client.upload_folder(folder)
    assert len(first["files"]) == 10
    told: list[Any] = []
    assert client.upload_folder(folder, progress=told.append) == first
    assert told[-1].sent_bytes == 0
    (folder / "00.png").write_bytes(b"one more")
    assert len(set(client.upload_folder(folder)["files"]) - set(first["files"])) > 0
