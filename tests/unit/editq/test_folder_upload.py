"""A folder of pictures on its way to the service: ids, shards, and an upload that goes on where it was."""

import io
import json
import os
import random
import tarfile
import threading
import tracemalloc

import httpx
import pytest

from api.app import create_app
from editq import Client
from editq.folder_pictures import ENDINGS, Folder, fitted_names, item_id, look_through, walk
from editq.folder_shards import Shard, cut, shard_bytes_for
from storage import errors
from storage.batch_specs import BATCH_SPEC, ITEM_ID
from storage.manifests import PICTURES
from storage.memory import memory_stores
from storage.settings import Settings

FITTED = item_id("Ü ber/1.png")


@pytest.fixture
def stores():
    return memory_stores()


@pytest.fixture
def app(stores):
    return create_app(Settings(), stores, lambda queue, job_id: None)


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr("editq.folder_shards.SHARD_BYTES", 10_000)


@pytest.fixture
def folder(tmp_path):
    """Nine pictures of 3 kB in three folders: three shards where they have 10 kB."""
    home = tmp_path / "lot"
    for name in ("b/2", "b/1", "a/1", "a/3", "a/2", "c", "Ü ber/1", "Ü ber/2", "d"):
        path = home / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(name).randbytes(3000))
    return home


class Wire(httpx.BaseTransport):
    """Passes requests on and counts uploads; those that `fails(number)` says are lost on their way."""

    def __init__(self, app, fails=lambda number: False):
        self._inner, self._fails, self._lock = httpx.WSGITransport(app), fails, threading.Lock()
        self.uploads, self.largest_open, self._open = 0, 0, 0

    def handle_request(self, request):
        if request.method != "POST":
            return self._inner.handle_request(request)
        with self._lock:
            self.uploads += 1
            self._open += 1
            self.largest_open = max(self.largest_open, self._open)
            number = self.uploads
        try:
            if self._fails(number):
                raise httpx.ReadError("cut off")
            return self._inner.handle_request(request)
        finally:
            with self._lock:
                self._open -= 1


def client_on(wire, **options):
    return Client("http://127.0.0.1", transport=wire, **options)


def members(stores, inputs):
    """(name, bytes) of all shards, in order."""
    found = []
    for file_id in inputs["files"]:
        data = stores.objects.get(stores.library.get_file("local", file_id).object)
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            found += [(member.name, tar.extractfile(member).read()) for member in tar.getmembers()]
    return found


def test_a_folder_becomes_inputs_whose_items_go_by_their_paths(app, stores, folder, small_shards):
    told = []
    with client_on(Wire(app)) as client:
        inputs = client.upload_folder(folder, progress=told.append, workers=2)
    assert len(inputs["files"]) == 3
    pictures = {name: data for name, data in members(stores, inputs) if name != "names.jsonl"}
    assert list(pictures) == ["a/1.png", "a/2.png", "a/3.png", "b/1.png", "b/2.png", "c.png", "d.png",
                              FITTED, item_id("Ü ber/2.png")]  # fmt: skip
    assert pictures["b/1.png"] == (folder / "b/1.png").read_bytes()
    last = told[-1]
    assert (last.shards, last.present_bytes, last.folder.pictures, last.folder.renamed) == (3, 0, 9, 2)
    sizes = [stores.library.get_file("local", name).object.byte_size for name in inputs["files"]]
    assert last.sent_bytes == sum(sizes)
    assert BATCH_SPEC.validate_python({"spec": {"kind": "invert"}, "inputs": inputs}).inputs.type == "tar"


def test_what_the_names_were_is_kept_beside_the_pictures(app, stores, folder, small_shards):
    with client_on(Wire(app)) as client:
        inputs = client.upload_folder(folder)
    (listed,) = [data for name, data in members(stores, inputs) if name == "names.jsonl"]
    lines = [json.loads(line) for line in listed.splitlines()]
    assert [(line["id"], line["path"]) for line in lines] == list(fitted_names(folder))
    assert lines[0] == {"id": FITTED, "path": "Ü ber/1.png"}


def test_a_second_upload_sends_nothing(app, folder, small_shards):
    wire, told = Wire(app), []
    with client_on(wire) as client:
        first = client.upload_folder(folder)
        assert wire.uploads == 3
        os.utime(folder / "c.png", (1, 1))
        (folder / "c.png").chmod(0o600)
        assert client.upload_folder(folder, progress=told.append) == first
    assert wire.uploads == 3
    assert (told[-1].sent_bytes, told[-1].present_bytes > 27_000, told[-1].shards) == (0, True, 3)


def test_an_upload_that_was_cut_off_goes_on_with_what_is_missing(app, folder, small_shards):
    wire = Wire(app, fails=lambda number: number >= 3)
    with client_on(wire, retry_s=0) as client, pytest.raises(errors.Unavailable):
        client.upload_folder(folder, workers=1)
    again, told = Wire(app), []
    with client_on(again) as client:
        inputs = client.upload_folder(folder, workers=1, progress=told.append)
    assert (again.uploads, len(inputs["files"])) == (1, 3)
    assert told[-1].present_bytes > 18_000


def test_a_shard_that_fails_is_tried_again_and_others_go_on_at_once(app, folder, small_shards):
    wire = Wire(app, fails=lambda number: number in (1, 2))
    with client_on(wire) as client:
        assert len(client.upload_folder(folder, workers=3)["files"]) == 3
    assert wire.uploads == 5


def test_never_more_shards_are_sent_at_once_than_asked_for(app, folder, monkeypatch):
    monkeypatch.setattr("editq.folder_shards.SHARD_BYTES", 1)
    wire = Wire(app)
    with client_on(wire) as client:
        client.upload_folder(folder, workers=2)
    assert wire.uploads == 9
    assert wire.largest_open <= 2


def test_where_a_shard_is_refused_the_others_are_not_sent(app, folder, monkeypatch):
    monkeypatch.setattr("editq.folder_shards.SHARD_BYTES", 1)
    wire = Wire(app, fails=lambda number: True)
    with client_on(wire, retry_s=0) as client, pytest.raises(errors.Unavailable):
        client.upload_folder(folder, workers=1)
    assert wire.uploads <= 3  # of nine


def test_a_folder_that_changes_while_it_is_sent_is_told_of(app, folder, monkeypatch):
    measured = Shard.measured
    monkeypatch.setattr(Shard, "measured", lambda shard: ("a" * 64, measured(shard)[1]))
    with client_on(Wire(app)) as client, pytest.raises(errors.InvalidInput) as caught:
        client.upload_folder(folder)
    assert caught.value.field == "folder"
    pictures = list(walk(Folder(folder)))
    (folder / "a/1.png").write_bytes(b"short")
    (folder / "b/1.png").write_bytes(bytes(9000))
    for index in (0, 3):
        with pytest.raises(errors.InvalidInput, match="changed while it was read"):
            list(Shard(0, (pictures[index],)).blocks())


def test_what_is_no_picture_of_the_folder_is_left_aside_and_told_of(folder, tmp_path):
    outside = tmp_path / "secret.png"
    outside.write_bytes(b"secret")
    (folder / ".hidden.png").write_bytes(b"x")
    (folder / ".git").mkdir()
    (folder / ".git" / "x.png").write_bytes(b"x")
    (folder / "notes.txt").write_text("notes")
    (folder / "out.png").symlink_to(outside)
    (folder / "above").symlink_to(tmp_path)
    (folder / "same").symlink_to(folder / "a")
    (folder / "round").symlink_to(folder)
    (folder / "broken.png").symlink_to(folder / "nothing.png")
    (folder / "circle.png").symlink_to("circle.png")
    (folder / "inside.png").symlink_to("a/1.png")
    os.mkfifo(folder / "pipe.png")
    found = look_through(folder)
    assert found.left_aside == {
        "hidden": 2, "no pictures": 1, "links that lead out": 2, "links to folders": 2, "broken links": 2,
        "no plain files": 1,
    }  # fmt: skip
    assert found.examples["links that lead out"] == ["above", "out.png"]
    assert found.pictures == 10
    assert "inside.png" in [picture.name for picture in walk(Folder(folder))]


def test_a_folder_of_nothing_is_refused(app, tmp_path):
    (tmp_path / "notes.txt").write_text("notes")
    with client_on(Wire(app)) as client:
        with pytest.raises(errors.InvalidInput, match="no pictures"):
            client.upload_folder(tmp_path)
        with pytest.raises(errors.InvalidInput, match="cannot be read"):
            client.upload_folder(tmp_path / "nowhere")


AWKWARD = [
    "a b.png", "a_b.png", "a+b.png", "é.png", "e\u0301.png", "-x.png", "_-x.png", "..png", "x" * 300 + ".PNG",
    "x" * 301 + ".PNG", "1/2/3/4/5/6/7/8/9.png", "1/2/3/4/5/6/7/8/9/9.png", "y" * 130 + "/z.png",
    "日本/車.jpeg", "a\nb.png", "b\udcff.png", "a/b.png", "a:b.png", "a\\b.png", FITTED, item_id(FITTED),
]  # fmt: skip


def test_names_are_made_fit_and_no_two_become_one():
    ids = [item_id(name) for name in AWKWARD]
    assert all(map(ITEM_ID.fullmatch, ids))
    assert len(set(ids)) == len(AWKWARD)
    assert [item_id(name) for name in ("a_b.png", "a/b.png", "_-x.png")] == ["a_b.png", "a/b.png", "_-x.png"]
    assert item_id("é.png").startswith("_.fit-")
    assert all(name.lower().endswith(ENDINGS) for name in ids)
    assert item_id("日本/車.jpeg").startswith("__/_.fit-")


def test_what_a_picture_ends_in_is_what_the_service_takes_for_one():
    assert ENDINGS == PICTURES


def test_the_same_folder_makes_the_same_bytes_wherever_it_lies(folder, tmp_path):
    other = tmp_path / "copy" / "of it"
    for path in sorted(folder.rglob("*.png"), reverse=True):
        copy = other / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    once, twice = (
        [shard.measured() for shard in cut(walk(Folder(path)), shard_bytes=10_000)]
        for path in (folder, other)
    )
    assert once == twice
    assert len(once) == 3
    (shard,) = cut(walk(Folder(folder)))
    with tarfile.open(fileobj=io.BytesIO(b"".join(shard.blocks()))) as tar:
        about = {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in tar.getmembers()}
    assert about == {(0, 0, 0, "", "", 0o644)}
    assert b"".join(shard.pieces()) == b"".join(shard.blocks())


def test_there_are_never_more_shards_than_a_batch_takes():
    assert shard_bytes_for(10 << 30, 1000) == 32 << 20
    each = shard_bytes_for(10 << 40, 10_000_000)
    assert (10 << 40) / each < 9_001


def test_large_pictures_are_sent_without_being_held(folder):
    (folder / "large.png").write_bytes(b"")
    os.truncate(folder / "large.png", 80 << 20)
    shard, _ = cut(walk(Folder(folder)))
    tracemalloc.start()
    try:
        assert sum(map(len, shard.pieces())) > 80 << 20
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
