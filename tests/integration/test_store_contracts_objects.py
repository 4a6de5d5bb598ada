"""What every object store does: memory, files, S3 on two servers that speak the protocol."""

import dataclasses
import hashlib
import io
import os
import secrets
import threading
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from servers import S3Server, free_port
from store_records import s3_objects

from storage.errors import ObjectCorrupt, OutputNotFound, StorageUnavailable, Unavailable
from storage.objects import (
    UNKNOWN_BYTES,
    FileObjects,
    checkpoint_key,
    image_key,
    job_prefix,
    model_key,
    output_key,
)
from storage.s3 import S3Objects
from storage.stores import Objects

JOB = "0190c0ffee00aabbccddeeff00112233"
KEY = output_key("local", JOB, 1, "edited.png")


def test_what_is_put_is_got(objects: Objects) -> None:
    data = secrets.token_bytes(100_000)
    ref = objects.put(KEY, data, "image/png")
    assert (ref.key, ref.byte_size, ref.media_type) == (KEY, len(data), "image/png")
    assert ref.sha256 == hashlib.sha256(data).hexdigest()
    assert objects.get(ref) == data
    chunks = list(objects.stream(ref, chunk_bytes=30_000))
    assert b"".join(chunks) == data
    assert len(chunks) > 1
    assert objects.exists(KEY)


def test_an_empty_object_is_one(objects: Objects) -> None:
    ref = objects.put(KEY, b"", "application/octet-stream")
    assert objects.get(ref) == b""
    assert objects.exists(KEY)


def test_a_file_is_put_from_where_it_stands(objects: Objects) -> None:
    file = io.BytesIO(b"skipped, then kept")
    file.seek(14)
    assert objects.get(objects.put(KEY, file, "text/plain")) == b"kept"


def test_large_files_that_cannot_be_rewound_are_put_whole(objects: Objects) -> None:
    class Pipe(io.RawIOBase):
        """Readable once, in small pieces."""

        left = 11 << 20

        def read(self, size: int = -1) -> bytes:
            count = min(self.left, 300_000, size if size >= 0 else self.left)
            self.left -= count
            return b"x" * count

    ref = objects.put(KEY, Pipe(), "application/octet-stream")  # type: ignore[arg-type]
    assert ref.byte_size == 11 << 20
    digest = hashlib.sha256()
    for chunk in objects.stream(ref):
        digest.update(chunk)
    assert digest.hexdigest() == ref.sha256 == hashlib.sha256(b"x" * (11 << 20)).hexdigest()


def test_putting_again_replaces(objects: Objects) -> None:
    old = objects.put(KEY, b"old", "text/plain")
    new = objects.put(KEY, b"newer", "text/plain")
    assert objects.get(new) == b"newer"
    with pytest.raises(ObjectCorrupt):
        objects.get(old)


def test_other_bytes_of_the_same_size_are_found_out(objects: Objects) -> None:
    ref = objects.put(KEY, b"right", "text/plain")
    objects.put(KEY, b"wrong", "text/plain")
    with pytest.raises(ObjectCorrupt):
        objects.get(ref)
    with pytest.raises(ObjectCorrupt):
        list(objects.stream(dataclasses.replace(ref, byte_size=4)))


def test_a_ref_of_a_digest_alone_is_checked_by_it(objects: Objects) -> None:
    ref = dataclasses.replace(objects.put(KEY, b"right", "text/plain"), byte_size=UNKNOWN_BYTES)
    assert objects.get(ref) == b"right"
    objects.put(KEY, b"wrong", "text/plain")
    with pytest.raises(ObjectCorrupt):
        objects.get(ref)


def test_what_is_not_there_is_not_found(objects: Objects) -> None:
    ref = objects.put(KEY, b"there", "text/plain")
    gone = dataclasses.replace(ref, key=output_key("local", JOB, 2, "edited.png"))
    with pytest.raises(OutputNotFound):
        objects.get(gone)
    with pytest.raises(OutputNotFound):
        objects.stream(gone)  # before the first chunk is asked for
    assert not objects.exists(gone.key)
    assert not objects.exists(KEY + "/below")


def test_keys_are_listed_by_prefix_and_deleted(objects: Objects) -> None:
    keys = [output_key("local", JOB, attempt, f"{name}.png") for attempt in (1, 2, 10) for name in "ab"]
    keys.append(checkpoint_key("local", JOB, 2, 30))
    other = image_key("somebody", "0" * 64)
    for key in [*keys, other]:
        objects.put(key, b"x", "text/plain")
    assert sorted(objects.list(job_prefix("local", JOB))) == sorted(keys)
    assert sorted(objects.list(f"local/jobs/{JOB}/1")) == sorted(k for k in keys if f"{JOB}/1" in k)
    assert sorted(objects.list("")) == sorted([*keys, other])
    assert list(objects.list("nobody/")) == []
    objects.delete([*keys[:3], output_key("local", JOB, 77, "never.png")])
    assert sorted(objects.list("local/")) == sorted(keys[3:])
    objects.delete([])


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a//b",
        "a/./b",
        "a/.hidden",
        "a/b/",
        "a\\b",
        "a\0b",
        "é",
        "a/" + "b" * 300,
    ],
)
def test_keys_that_could_leave_their_folder_are_refused(objects: Objects, key: str) -> None:
    ref = dataclasses.replace(objects.put(KEY, b"x", "text/plain"), key=key)
    for ask in (
        lambda: objects.put(key, b"x", "text/plain"),
        lambda: objects.get(ref),
        lambda: objects.exists(key),
        lambda: objects.delete([key]),
        lambda: model_key("local", key, "d", "f"),
    ):
        with pytest.raises(ValueError, match="key"):
            ask()
    assert list(objects.list("")) == [KEY]


def test_a_reader_never_sees_half_an_object(objects: Objects) -> None:
    letters = [bytes([letter]) * 200_000 for letter in b"abcd"]
    refs = {ref.sha256: ref for ref in (objects.put(KEY, data, "text/plain") for data in letters)}
    done = threading.Event()

    def write() -> None:
        for data in letters * 3:
            objects.put(KEY, data, "text/plain")
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not done.is_set():
        for ref in refs.values():
            try:
                got = objects.get(ref)
            except Unavailable:  # another object by then, or (rclone) cut short in the middle
                continue
            assert hashlib.sha256(got).hexdigest() == ref.sha256
    thread.join()
    assert objects.get(refs[hashlib.sha256(letters[-1]).hexdigest()]) == letters[-1]


def test_a_store_that_is_there_passes_its_check(objects: Objects) -> None:
    objects.check()


@pytest.mark.parametrize("server", ["moto", "rclone"])
def test_large_objects_go_in_parts_and_carry_their_digest(
    request: pytest.FixtureRequest, server: str
) -> None:
    s3: S3Server = request.getfixturevalue(f"{server}_s3")
    bucket = s3.new_bucket()
    ref = s3_objects(s3, bucket).put(KEY, b"y" * (6 << 20), "image/png")
    head = s3.client().head_object(Bucket=bucket, Key=f"some/folder/{KEY}")
    assert head["ContentLength"] == 6 << 20
    assert head["ContentType"] == "image/png"
    if server == "moto":  # rclone forgets metadata and entity tags of what came in parts
        assert head["Metadata"]["sha256"] == ref.sha256
        assert head["ETag"].strip('"').endswith("-2")


def test_an_s3_server_that_is_away_is_unavailable(moto_s3: S3Server) -> None:
    away = S3Objects("b", endpoint=f"http://127.0.0.1:{free_port()}", access_key="a", secret_key="b")
    no_bucket = s3_objects(moto_s3, "never-made")
    for ask in (
        away.check,
        no_bucket.check,
        lambda: away.put(KEY, b"x", "text/plain"),
        lambda: no_bucket.put(KEY, b"x", "text/plain"),
        lambda: list(away.list("")),
        lambda: away.delete([KEY]),
    ):
        with pytest.raises(StorageUnavailable):
            ask()


def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    objects = FileObjects(tmp_path / "objects")
    ref = objects.put("local/images/a", b"secret", "text/plain")
    (tmp_path / "objects/local/images/a").unlink()
    (tmp_path / "objects/local/images/a").symlink_to(outside / "secret")
    (tmp_path / "objects/local/link").symlink_to(outside)
    with pytest.raises(OutputNotFound):
        objects.get(ref)
    with pytest.raises(OutputNotFound):
        objects.get(dataclasses.replace(ref, key="local/link/secret"))
    with pytest.raises(StorageUnavailable):
        objects.put("local/link/new", b"x", "text/plain")
    objects.put("local/images/a", b"mine", "text/plain")  # replaces the link, not what it names
    assert (outside / "secret").read_bytes() == b"secret"
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise OSError("the upload was cut off")

    with pytest.raises(StorageUnavailable):
        FileObjects(tmp_path).put("local/images/a", Broken(), "text/plain")  # type: ignore[arg-type]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_sweeping_leaves_objects_alone(objects: Objects) -> None:
    ref = objects.put(KEY, b"x", "text/plain")
    assert objects.sweep(older_than_s=-60) == 0
    assert objects.get(ref) == b"x"


@pytest.mark.parametrize("server", ["moto", "rclone"])
def test_uploads_in_parts_that_were_never_ended_are_swept(
    request: pytest.FixtureRequest, server: str
) -> None:
    s3: S3Server = request.getfixturevalue(f"{server}_s3")
    client, bucket = s3.client(), s3.new_bucket()
    store = s3_objects(s3, bucket)
    left = client.create_multipart_upload(Bucket=bucket, Key=f"some/folder/{KEY}")
    part = {"Bucket": bucket, "Key": f"some/folder/{KEY}", "UploadId": left["UploadId"], "PartNumber": 1}
    client.upload_part(**part, Body=b"y" * (5 << 20))
    client.create_multipart_upload(Bucket=bucket, Key="of/somebody/else")
    if server == "rclone":  # moto says of every upload that it was begun in 2010
        assert store.sweep(older_than_s=3600) == 0
    assert store.sweep(older_than_s=-60) == 1
    assert store.sweep(older_than_s=-60) == 0
    with pytest.raises(ClientError):
        client.upload_part(**part, Body=b"y" * (5 << 20))


def test_temporary_files_of_writers_that_died_are_swept(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path / "objects")
    kept = objects.put(KEY, b"x", "text/plain")
    folder = tmp_path / "objects" / Path(KEY).parent
    old, young = folder / f".{'0' * 16}.part", folder / f".{'1' * 16}.part"
    for file in (old, young, folder / ".other"):
        file.write_bytes(b"half of")
    os.utime(old, (0, 0))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / old.name).write_bytes(b"")
    os.utime(outside / old.name, (0, 0))
    (folder / "link").symlink_to(outside)
    assert objects.sweep(older_than_s=3600) == 1
    assert {path.name for path in folder.iterdir()} == {young.name, ".other", "edited.png", "link"}
    assert (outside / old.name).exists()
    assert objects.get(kept) == b"x"


def test_folders_that_have_stayed_empty_are_swept(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path / "objects")
    objects.put(KEY, b"x", "text/plain")
    objects.put(image_key("local", "a" * 64), b"x", "text/plain")
    objects.delete([KEY])
    attempt = tmp_path / "objects" / Path(KEY).parents[1]
    os.utime(attempt / "outputs", (0, 0))
    assert objects.sweep(older_than_s=3600) == 0
    assert attempt.exists()  # empty only since this moment
    assert not (attempt / "outputs").exists()
    assert (tmp_path / "objects/local/images").exists()
    objects.put(KEY, b"x", "text/plain")


def test_sweeping_before_anything_was_put_is_no_error(tmp_path: Path) -> None:
    assert FileObjects(tmp_path / "never-made").sweep(older_than_s=0) == 0
