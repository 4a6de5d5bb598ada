"""What the client asks of uploaded files: manifests, shards, checkpoints."""

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from editq.calls import JSON, Calls
from editq.problems import check, plain_errors
from storage.errors import EditqError, Unavailable

Told = Callable[[int, int], None]
"""Is told how many bytes of how many were sent. Begins again at 0 where an upload is tried again."""

_PIECE_BYTES = 1 << 20
_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 5.0
_SLOWEST_STORE = 10e6  # bytes a second that a service's store surely takes once it has a file


class FileCalls(Calls):
    """The part of Client that is about files. Every method may raise EditqError."""

    def upload_file(self, path: Path, *, filename: str | None = None, told: Told | None = None) -> JSON:
        """The file's record. It is sent piece by piece, and not at all where the service has it already: so
        to upload many again after an interruption sends what is missing.

        Where the service is away or too busy it is tried again, with pauses of `retry_s` altogether.
        """
        sha256, byte_size = _digest(path)

        def pieces() -> Iterator[bytes]:
            with path.open("rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    yield piece

        upload = Upload(filename or path.name, sha256, byte_size, pieces, told or _nobody)
        return self._keep(upload)[0]

    def file_of(self, sha256: str) -> JSON | None:
        """The file of this content, if the service has it."""
        items = self._json("GET", "/v1/files", params={"sha256": sha256})["items"]
        return items[0] if items else None

    def list_files(self, *, limit: int | None = None) -> Iterator[JSON]:
        """Newest first; all of them unless there is a limit."""
        return self._pages("/v1/files", {}, limit)

    def get_file(self, file_id: str) -> JSON:
        return self._json("GET", f"/v1/files/{file_id}")

    def download_file(self, file_id: str, to: Path) -> None:
        """Write its bytes to a new file."""
        with plain_errors(), self._http.stream("GET", f"/v1/files/{file_id}/content") as answer:
            check(answer)
            with to.open("xb") as file:
                for piece in answer.iter_bytes(_PIECE_BYTES):
                    file.write(piece)

    def delete_file(self, file_id: str) -> None:
        self._request("DELETE", f"/v1/files/{file_id}")

    def _keep(self, upload: "Upload") -> tuple[JSON, bool]:
        """The file's record, and whether it had to be sent."""
        left_s, pause_s = self._retry_s, _PAUSE_S
        while True:
            try:
                known = self.file_of(upload.sha256)
                return (known, False) if known else (self._send(upload), True)
            except EditqError as error:
                wait_s = random.uniform(pause_s / 2, pause_s)
                left_s -= wait_s
                if error.status != Unavailable.status or left_s < 0:
                    raise
            time.sleep(wait_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _send(self, upload: "Upload") -> JSON:
        timeout = httpx.Timeout(
            self._http.timeout.read,
            read=(self._http.timeout.read or 0.0) + upload.byte_size / _SLOWEST_STORE,
        )
        return self._json(
            "POST",
            "/v1/files",
            params={"filename": upload.filename, "sha256": upload.sha256},
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(upload.byte_size)},
            content=upload.told_of(),
            timeout=timeout,
        )


@dataclass(frozen=True)
class Upload:
    """Bytes to be sent, read anew by `pieces()` for every try."""

    filename: str
    sha256: str
    byte_size: int
    pieces: Callable[[], Iterator[bytes]]
    told: Told

    def told_of(self) -> Iterator[bytes]:
        sent = 0
        self.told(0, self.byte_size)
        for piece in self.pieces():
            yield piece
            sent += len(piece)
            self.told(sent, self.byte_size)


def _nobody(_sent: int, _total: int) -> None:
    """Nobody wants to be told."""


def _digest(path: Path) -> tuple[str, int]:
    """SHA-256 and size."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return digest.hexdigest(), file.tell()
