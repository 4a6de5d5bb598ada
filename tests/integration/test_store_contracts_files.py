"""What every library does with files, and every object store with what is named by its content."""

import dataclasses
import hashlib
import io
import threading
import time
from pathlib import Path

import pytest
from job_steps import ERROR, claimed, together

from storage.errors import DigestMismatch, FileInUse, FileNotFound, StorageUnavailable
from storage.file_records import File
from storage.objects import FileObjects, file_key
from storage.records import ObjectRef, new_id
from storage.stores import Jobs, Library, Objects
from storage.upkeep import Retention


def file(tenant_id: str = "local", *, content: str = "a", filename: str | None = "shard.tar") -> File:
    ref = ObjectRef(file_key(tenant_id, content * 64), content * 64, 5 << 30, "application/x-tar")
    return File(new_id(), tenant_id, ref, filename, 0.0)


def test_a_file_is_kept_as_it_was_given(library: Library) -> None:
    given = file()
    kept = library.add_file(given)
    assert kept == dataclasses.replace(given, created_at=kept.created_at)
    assert abs(kept.created_at - time.time()) < 60
    assert library.get_file("local", given.id) == kept


def test_a_tenant_has_one_file_of_each_content(library: Library) -> None:
    kept = library.add_file(file())
    assert library.add_file(file(filename="other.tar")) == kept
    theirs = library.add_file(file("somebody"))
    assert theirs.id != kept.id
    assert library.list_files("local").items == (kept,)


def test_of_many_at_once_one_is_kept(library: Library) -> None:
    found = together(*(lambda: library.add_file(file()) for _ in range(6)))
    assert len({each.id for each in found if isinstance(each, File)}) == 1
    assert len(library.list_files("local").items) == 1


def test_a_file_belongs_to_its_tenant(library: Library) -> None:
    kept = library.add_file(file("somebody"))
    for ask in (library.get_file, library.delete_file):
        with pytest.raises(FileNotFound):
            ask("local", kept.id)
    assert library.list_files("local", sha256=kept.object.sha256).items == ()
    assert library.get_file("somebody", kept.id) == kept


@pytest.mark.parametrize(
    ("filename", "kept"), [(None, None), ("a\0b", "ab"), ("\udc80", "?"), ("ö車", "ö車")]
)
def test_any_file_name_can_be_kept(library: Library, filename: str | None, kept: str | None) -> None:
    assert library.add_file(file(filename=filename)).filename == kept


def test_files_are_listed_newest_first_and_found_by_digest(library: Library) -> None:
    ids = [library.add_file(file(content=content)).id for content in "abcde"]
    first = library.list_files("local", limit=2)
    library.delete_file("local", ids[3])  # where the cursor points
    second = library.list_files("local", limit=3, cursor=first.next_cursor)
    assert [item.id for page in (first, second) for item in page.items] == ids[::-1]
    assert second.next_cursor is None
    assert [item.id for item in library.list_files("local", sha256="b" * 64).items] == [ids[1]]


@pytest.mark.parametrize("name", ["id", "sha256"])
def test_a_file_that_an_open_job_names_stays(library: Library, jobs: Jobs, name: str) -> None:
    kept = library.add_file(file())
    claim = claimed(jobs, shards=[{"file": kept.id if name == "id" else kept.object.sha256}])
    jobs.add("somebody", "edit", {"file": kept.id})  # of another tenant: it can name nothing of this one's
    with pytest.raises(FileInUse) as caught:
        library.delete_file("local", kept.id)
    assert claim.job.id in caught.value.detail
    jobs.fail(claim, ERROR)
    assert library.delete_file("local", kept.id) == kept
    with pytest.raises(FileNotFound):
        library.get_file("local", kept.id)


def test_a_files_object_is_needed_while_it_has_a_record(library: Library, retention: Retention) -> None:
    kept = library.add_file(file())
    keys = {kept.object.key, file_key("local", "f" * 64)}
    assert retention.unneeded(keys) == {file_key("local", "f" * 64)}
    library.delete_file("local", kept.id)
    assert retention.unneeded(keys) == keys


def test_a_file_cannot_be_added_on_an_object_that_is_being_removed(
    library: Library, retention: Retention
) -> None:
    given = file()
    retention.mark([given.object.key])
    assert retention.condemn([given.object.key]) == {given.object.key}
    with pytest.raises(StorageUnavailable):
        library.add_file(given)
    assert library.list_files("local").items == ()
    retention.forget([given.object.key])
    library.add_file(given)
    assert retention.condemn([given.object.key]) == frozenset()


def test_what_is_named_by_its_content_is_got_under_its_digest(objects: Objects) -> None:
    data = b"0123456789" * 700_000
    ref = objects.put_content(lambda sha256: file_key("local", sha256), io.BytesIO(data), "a/b")
    sha256 = hashlib.sha256(data).hexdigest()
    assert ref == ObjectRef(file_key("local", sha256), sha256, len(data), "a/b")
    assert objects.get(ref) == data
    again = objects.put_content(lambda sha256: file_key("local", sha256), io.BytesIO(data), "a/b")
    assert again == ref
    assert list(objects.list("")) == [ref.key]


class Refused:
    """A body whose end shows that it is not what was announced."""

    def __init__(self) -> None:
        self._pieces = [b"x" * 100_000] * 3

    def read(self, size: int, /) -> bytes:
        if not self._pieces:
            raise DigestMismatch("no")
        return self._pieces.pop()


def test_what_is_refused_at_its_end_is_not_kept(objects: Objects) -> None:
    with pytest.raises(DigestMismatch):
        objects.put_content(lambda sha256: file_key("local", sha256), Refused(), "a/b")
    assert list(objects.list("")) == []


def test_a_refused_body_leaves_no_temporary_file(tmp_path: Path) -> None:
    with pytest.raises(DigestMismatch):
        FileObjects(tmp_path).put_content(lambda sha256: file_key("local", sha256), Refused(), "a/b")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_a_writer_that_died_left_is_swept(tmp_path: Path) -> None:
    objects, gate = FileObjects(tmp_path), threading.Event()

    class Stuck:
        def read(self, size: int, /) -> bytes:
            assert [path.name for path in tmp_path.iterdir()] != []
            assert objects.sweep(older_than_s=-60) == 1
            gate.set()
            return b""

    with pytest.raises(StorageUnavailable):  # its file is gone under its hands
        objects.put_content(lambda sha256: file_key("local", sha256), Stuck(), "a/b")
    assert gate.is_set()
