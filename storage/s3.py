"""Objects in a bucket of any server that speaks S3 (boto3). Size and SHA-256 are checked on every read.

Uploads carry the SHA-256 as metadata and are signed over their content; large ones go in parts. The newer
checksums of the protocol are not asked for, since many servers do not know them: ObjectRef's is the check.
"""

import contextlib
import functools
import hashlib
import http
import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from storage.errors import OutputNotFound, StorageFull, StorageUnavailable
from storage.objects import (
    CHUNK_BYTES,
    FULL_DISK,
    Readable,
    checked_key,
    checked_prefix,
    chunks_of,
    verified,
    whole,
)
from storage.records import ObjectRef

if TYPE_CHECKING:
    from storage.settings import Settings

PART_BYTES = 16 << 20
_DELETED_AT_ONCE = 1000
_GONE = ("NoSuchKey", "404", "NotFound")
_FULL = ("QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded")  # Ceph's, and MinIO's


class S3Objects:
    """Safe for threads, and after a fork: each process opens its own client at first use."""

    def __init__(
        self,
        bucket: str,
        *,
        endpoint: str | None = None,
        region: str = "us-east-1",
        prefix: str = "",
        path_style: bool = False,
        access_key: str | None = None,
        secret_key: str | None = None,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._transfer = TransferConfig(
            multipart_threshold=part_bytes, multipart_chunksize=part_bytes, use_threads=False
        )
        self._part_bytes = part_bytes
        self._options: dict[str, Any] = {
            "endpoint_url": endpoint,
            "region_name": region,
            "aws_access_key_id": access_key,
            "aws_secret_access_key": secret_key,
            "config": _config(path_style),
        }
        self._clients: dict[int, Any] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_settings(cls, settings: "Settings") -> "S3Objects":
        assert settings.s3_bucket
        secret = settings.s3_secret_key
        return cls(
            settings.s3_bucket,
            endpoint=settings.s3_endpoint,
            region=settings.s3_region,
            prefix=settings.s3_prefix,
            path_style=settings.s3_path_style,
            access_key=settings.s3_access_key,
            secret_key=secret.get_secret_value() if secret else None,
        )

    def put(self, key: str, data: bytes | Readable, media_type: str) -> ObjectRef:
        name = self._name(key)  # refused before anything is read
        with named_errors(key), _spooled(data, self._part_bytes) as (file, sha256, byte_size):
            self._send(file, name, sha256, media_type)
        return ObjectRef(key, sha256, byte_size, media_type)

    def put_content(self, key_of: Callable[[str], str], data: Readable, media_type: str) -> ObjectRef:
        with named_errors(""), _spooled(data, self._part_bytes) as (file, sha256, byte_size):
            key = key_of(sha256)
            self._send(file, self._name(key), sha256, media_type)
        return ObjectRef(key, sha256, byte_size, media_type)

    def _send(self, file: BinaryIO, name: str, sha256: str, media_type: str) -> None:
        self._client.upload_fileobj(
            file,
            self._bucket,
            name,
            ExtraArgs={"ContentType": media_type, "Metadata": {"sha256": sha256}},
            Config=self._transfer,
        )

    def get(self, ref: ObjectRef) -> bytes:
        return b"".join(self.stream(ref))

    def stream(self, ref: ObjectRef, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
        with named_errors(ref.key):
            body = self._client.get_object(Bucket=self._bucket, Key=self._name(ref.key))["Body"]

        def read() -> Iterator[bytes]:
            with contextlib.closing(body), named_errors(ref.key):
                yield from verified(ref, body.iter_chunks(chunk_bytes))

        return read()

    def get_range(self, key: str, start: int = 0, byte_size: int | None = None) -> bytes:
        if byte_size == 0:
            return b""  # no range of S3's is empty
        span = f"bytes={start}-{'' if byte_size is None else start + byte_size - 1}"
        with named_errors(key):
            body = self._client.get_object(Bucket=self._bucket, Key=self._name(key), Range=span)["Body"]
            with contextlib.closing(body):
                return whole(key, body.read(), byte_size)

    def exists(self, key: str) -> bool:
        try:
            with named_errors(key):
                self._client.head_object(Bucket=self._bucket, Key=self._name(key))
        except OutputNotFound:
            return False
        return True

    def list(self, prefix: str) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2")
        with named_errors(prefix):
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + checked_prefix(prefix)):
                for entry in page.get("Contents", ()):
                    yield entry["Key"].removeprefix(self._prefix)

    def delete(self, keys: Iterable[str]) -> None:
        names = [{"Key": self._name(key)} for key in keys]
        for start in range(0, len(names), _DELETED_AT_ONCE):
            with named_errors("to delete"):
                answer = self._client.delete_objects(
                    Bucket=self._bucket,
                    Delete={"Objects": names[start : start + _DELETED_AT_ONCE], "Quiet": True},
                )
            failed = [e for e in answer.get("Errors", ()) if e.get("Code") not in _GONE]
            if failed:
                raise StorageUnavailable(f"{len(failed)} objects could not be deleted.")

    def sweep(self, *, older_than_s: float) -> int:
        """End uploads in parts that were begun so long ago: their parts cost, and no listing shows them."""
        until = datetime.now(UTC) - timedelta(seconds=older_than_s)
        with named_errors("to sweep"):
            late = [upload for upload in self._uploads() if upload["Initiated"] <= until]
            for upload in late:
                self._abort(upload["Key"], upload["UploadId"])
        return len(late)

    def _uploads(self) -> Iterator[dict[str, Any]]:
        """Some servers know none where there are none, and some keep no list of them at all."""
        pages = self._client.get_paginator("list_multipart_uploads")
        with _without("NoSuchUpload", "NotImplemented", "MethodNotAllowed"):
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix):
                yield from page.get("Uploads", ())

    def _abort(self, name: str, upload_id: str) -> None:
        with _without("NoSuchUpload"):  # it ended by itself meanwhile
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=name, UploadId=upload_id)

    def check(self) -> None:
        with named_errors(""):
            try:
                self._client.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                raise StorageUnavailable("The bucket cannot be used.") from error

    def _name(self, key: str) -> str:
        return self._prefix + checked_key(key)

    @property
    def _client(self) -> Any:
        pid = os.getpid()
        client = self._clients.get(pid)
        if client is None:
            with self._lock:  # making a client, unlike using one, is not safe for threads
                client = self._clients.get(pid)
                if client is None:
                    client = self._clients[pid] = boto3.session.Session().client("s3", **self._options)
        return client


def client_of(settings: Any) -> Any:
    """A client for where `settings` say: endpoint, region, keys; the platform's, or those of one bucket."""
    told = {name: getattr(settings, name, None) or getattr(settings, f"s3_{name}", None) for name in _PLACE}
    secret = told["secret_key"]
    place = (told["endpoint"], told["region"], told["access_key"], bool(told["path_style"]))
    return _client_at(os.getpid(), *place, secret.get_secret_value() if secret else None)


_PLACE = ("endpoint", "region", "access_key", "secret_key", "path_style")


@functools.lru_cache(maxsize=32)
def _client_at(
    _pid: int,
    endpoint: str | None,
    region: str,
    access_key: str | None,
    path_style: bool,
    secret_key: str | None,
) -> Any:
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=_config(path_style),
    )


def _config(path_style: bool) -> Config:
    return Config(
        signature_version="s3v4",
        connect_timeout=3,
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=20,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if path_style else "virtual", "payload_signing_enabled": True},
    )


@contextlib.contextmanager
def _spooled(data: bytes | Readable, in_memory_bytes: int) -> Iterator[tuple[BinaryIO, str, int]]:
    """A copy that can be sent again, its SHA-256 and size: both must be known before the first byte goes."""
    if isinstance(data, bytes):
        yield io.BytesIO(data), hashlib.sha256(data).hexdigest(), len(data)
        return
    digest = hashlib.sha256()
    with tempfile.SpooledTemporaryFile(max_size=in_memory_bytes) as file:
        for chunk in chunks_of(data):
            digest.update(chunk)
            file.write(chunk)
        byte_size = file.tell()
        file.seek(0)
        yield file, digest.hexdigest(), byte_size  # type: ignore[misc]  # it is one but for its name


@contextlib.contextmanager
def _without(*codes: str) -> Iterator[None]:
    """Answers that mean no harm."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in codes:
            raise


@contextlib.contextmanager
def named_errors(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        if code in _GONE:
            raise OutputNotFound(f"There is no object {key}.") from error
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if code in _FULL or status == http.HTTPStatus.INSUFFICIENT_STORAGE:
            raise StorageFull("The object store is full.") from error
        raise StorageUnavailable("The object store refused a request.") from error
    except (BotoCoreError, HTTPClientError, boto3.exceptions.Boto3Error) as error:
        raise StorageUnavailable("The object store does not answer.") from error
    except OSError as error:  # of the copy on this machine's disk
        if error.errno in FULL_DISK:
            raise StorageFull("The disk for temporary files is full.") from error
        raise
