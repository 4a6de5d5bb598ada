"""A bucket that is full has the error of a full disk."""

import errno
import io
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from on_a_port import serving

from storage.errors import StorageFull, StorageUnavailable
from storage.s3 import S3Objects


@dataclass
class Bucket:
    """Answers every upload with this."""

    objects: S3Objects
    status: int = 403
    code: str = "AccessDenied"


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    class Refusing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # which says that it may go on, when a client waits for that

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = f"<Error><Code>{bucket.code}</Code><Message>no</Message></Error>".encode()
            self.send_response(bucket.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    bucket = Bucket(S3Objects("b", endpoint=endpoint, path_style=True, access_key="a", secret_key="b"))
    with serving(server):
        yield bucket


@pytest.mark.parametrize(
    ("status", "code", "full"),
    [
        (403, "QuotaExceeded", True),
        (507, "XMinioStorageFull", True),
        (507, "SomethingNew", True),
        (403, "AccessDenied", False),
        (400, "InvalidArgument", False),
    ],
)
def test_a_bucket_that_takes_no_more_is_full(bucket: Bucket, status: int, code: str, full: bool) -> None:
    bucket.status, bucket.code = status, code
    with pytest.raises(StorageUnavailable) as raised:
        bucket.objects.put("local/images/a", b"bytes", "image/png")
    assert isinstance(raised.value, StorageFull) is full


class Spool(io.BytesIO):
    """Reading it fails as writing its copy to a full disk does."""

    def read(self, size: int | None = -1) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_the_disk_for_temporary_files_may_be_full_too(bucket: Bucket) -> None:
    with pytest.raises(StorageFull):
        bucket.objects.put("local/images/a", Spool(), "image/png")
