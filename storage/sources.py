"""Buckets whose keys others choose: pictures to be read in bulk, and results that are wanted outside.

A tenant's own inputs lie in the platform's store, under `<tenant>/inputs/`, put there by whoever has access
to it; further buckets are those that the operator names in EDITQ_BUCKETS, as folders or in S3. Keys are
hostile: a folder is opened step by step, and neither `..` nor a symbolic link leads out of it.
"""

import contextlib
import errno
import mimetypes
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from storage.errors import InvalidInput, OutputNotFound, PictureTooLarge, StorageUnavailable
from storage.objects import CHUNK_BYTES, chunks_of

if TYPE_CHECKING:
    from storage.settings import Settings

MAX_KEY_BYTES = 1024
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not make a reader wait


class BucketSettings(BaseModel):
    """One bucket that the operator lets jobs use: a folder, or a bucket of an S3 server."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    folder: Path | None = None
    bucket: str | None = None
    endpoint: str | None = None
    region: str = "us-east-1"
    prefix: str = ""
    path_style: bool = False
    access_key: str | None = None
    secret_key: SecretStr | None = None
    writable: bool = Field(default=False, description="Whether results may be written there.")
    tenants: tuple[str, ...] | None = Field(default=None, description="Who may use it; by default all.")

    @model_validator(mode="after")
    def _one_place(self) -> "BucketSettings":
        if (self.folder is None) == (self.bucket is None):
            raise ValueError("give folder or bucket")
        return self


class Source(Protocol):
    """Keys are relative to the source's beginning; whoever calls has checked them (`checked_source_key`)."""

    def list(self, prefix: str) -> Iterator[str]:
        """Keys, in any order. A prefix is text, no folder: `a/b` lists `a/b1` too."""

    def read(self, key: str, *, max_bytes: int) -> bytes:
        """Raises OutputNotFound, PictureTooLarge, StorageUnavailable."""

    def stream(self, key: str) -> Iterator[bytes]:
        """The same of a file of any size, in blocks. Raises OutputNotFound at once."""

    def write(self, key: str, data: bytes) -> None:
        """Whole or not at all. Raises StorageUnavailable."""


def checked_source_key(key: str, *, field: str) -> str:
    """Raises InvalidInput for what could lead out of a folder, or no store takes."""
    segments = key.split("/")
    bad = any(segment in ("", ".", "..") or segment.startswith(".") for segment in segments)
    if bad or len(key.encode("utf-8", "replace")) > MAX_KEY_BYTES or not key.isprintable() or "\\" in key:
        raise InvalidInput(
            f"{key[:80]!r} is not an object's key.",
            field=field,
            expected=f"segments divided by /, none empty or hidden (.name), {MAX_KEY_BYTES} bytes at most",
        )
    return key


class FolderSource:
    """The files below a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def list(self, prefix: str) -> Iterator[str]:
        folder = prefix.rpartition("/")[0]
        with _named_errors(prefix), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            yield from self._below(f"{folder}/" if folder else "", prefix)

    def _below(self, lead: str, prefix: str) -> Iterator[str]:
        """lead: the folder's key, with a / at its end; empty for the root."""
        with os.scandir(self._root / lead) as entries:
            for entry in entries:
                key = lead + entry.name
                if entry.name.startswith(".") or not (key.startswith(prefix) or prefix.startswith(f"{key}/")):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from self._below(f"{key}/", prefix)
                elif entry.is_file(follow_symlinks=False):
                    yield key

    def read(self, key: str, *, max_bytes: int) -> bytes:
        *folders, name = key.split("/")
        with _named_errors(key):
            with self._folder(folders) as folder:
                opened = os.fdopen(os.open(name, _READING, dir_fd=folder), "rb")
            with opened:
                return _bounded(key, opened.read(max_bytes + 1), max_bytes)

    def stream(self, key: str) -> Iterator[bytes]:
        *folders, name = key.split("/")
        with _named_errors(key), self._folder(folders) as folder:
            opened = os.fdopen(os.open(name, _READING, dir_fd=folder), "rb")

        def blocks() -> Iterator[bytes]:
            with opened, _named_errors(key):
                yield from chunks_of(opened)

        return blocks()

    def write(self, key: str, data: bytes) -> None:
        *folders, name = key.split("/")
        with _named_errors(key, writing=True), self._folder(folders, create=True) as folder:
            temporary = f".{secrets.token_hex(8)}.part"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                with os.fdopen(os.open(temporary, flags, 0o644, dir_fd=folder), "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise

    @contextlib.contextmanager
    def _folder(self, names: Iterable[str], *, create: bool = False) -> Iterator[int]:
        if create:
            self._root.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        folder = os.open(self._root, flags)
        try:
            for name in names:
                if create:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, dir_fd=folder)
                below = os.open(name, flags | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)


class S3Source:
    """The objects of a bucket whose names begin with `prefix`. `client()` gives a boto3 client."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix

    def list(self, prefix: str) -> Iterator[str]:
        from storage.s3 import named_errors

        pages = self._client().get_paginator("list_objects_v2")
        with named_errors(prefix):
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for entry in page.get("Contents", ()):
                    yield entry["Key"].removeprefix(self._prefix)

    def read(self, key: str, *, max_bytes: int) -> bytes:
        from storage.s3 import named_errors

        with named_errors(key):
            body = self._client().get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"]
            with contextlib.closing(body):
                return _bounded(key, body.read(max_bytes + 1), max_bytes)

    def stream(self, key: str) -> Iterator[bytes]:
        from storage.s3 import named_errors

        with named_errors(key):
            body = self._client().get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"]

        def blocks() -> Iterator[bytes]:
            with contextlib.closing(body), named_errors(key):
                yield from body.iter_chunks(CHUNK_BYTES)

        return blocks()

    def write(self, key: str, data: bytes) -> None:
        from storage.s3 import named_errors

        with named_errors(key):
            self._client().put_object(
                Bucket=self._bucket,
                Key=self._prefix + key,
                Body=data,
                ContentType=mimetypes.guess_type(key)[0] or "application/octet-stream",
            )


class MemorySource:
    """The twin for tests."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def list(self, prefix: str) -> Iterator[str]:
        yield from (key for key in sorted(self.files) if key.startswith(prefix))

    def read(self, key: str, *, max_bytes: int) -> bytes:
        if key not in self.files:
            raise OutputNotFound(f"There is no object {key}.")
        return _bounded(key, self.files[key], max_bytes)

    def stream(self, key: str) -> Iterator[bytes]:
        return iter((self.read(key, max_bytes=1 << 40),))

    def write(self, key: str, data: bytes) -> None:
        self.files[key] = data


class Sources:
    """Opens them by name. `own(tenant_id)` is where a tenant's own inputs lie."""

    def __init__(self, own: Any, named: dict[str, BucketSettings]) -> None:
        self._own, self._named = own, named

    def open(self, tenant_id: str, bucket: str | None, *, field: str, writing: bool = False) -> Source:
        """Raises InvalidInput for a bucket that this tenant may not use so."""
        if bucket is None:
            source: Source = self._own(tenant_id)
            return source
        settings = self._named.get(bucket)
        if settings is None or tenant_id not in (settings.tenants or (tenant_id,)):
            known = [
                name for name, each in self._named.items() if tenant_id in (each.tenants or (tenant_id,))
            ]
            raise InvalidInput(
                f"There is no bucket {bucket!r} for you.",
                field=field,
                expected=", ".join(known) or "none: the operator has named no bucket (EDITQ_BUCKETS)",
            )
        if writing and not settings.writable:
            raise InvalidInput(
                f"Bucket {bucket!r} may only be read.", field=field, expected="a writable bucket"
            )
        return source_of(settings)


def open_sources(settings: "Settings") -> Sources:
    def own(tenant_id: str) -> Source:
        if settings.objects == "files":
            return FolderSource(settings.objects_dir / tenant_id / "inputs")
        from storage.s3 import client_of

        prefix = f"{settings.s3_prefix}{tenant_id}/inputs/"
        assert settings.s3_bucket
        return S3Source(lambda: client_of(settings), settings.s3_bucket, prefix)

    return Sources(own, dict(settings.buckets))


def source_of(settings: BucketSettings) -> Source:
    if settings.folder is not None:
        return FolderSource(settings.folder)
    from storage.s3 import client_of

    assert settings.bucket is not None
    return S3Source(lambda: client_of(settings), settings.bucket, settings.prefix)


def _bounded(key: str, data: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise PictureTooLarge(
            f"Object {key} has more than {max_bytes} bytes.", expected=f"at most {max_bytes} bytes"
        )
    return data


@contextlib.contextmanager
def _named_errors(key: str, *, writing: bool = False) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        absent = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENAMETOOLONG)
        if not writing and error.errno in absent:
            raise OutputNotFound(f"There is no object {key}.") from error
        raise StorageUnavailable("A folder of pictures cannot be used.") from error
