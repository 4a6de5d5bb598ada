"""What the client asks of uploaded files: manifests, shards, checkpoints."""

import hashlib
import random
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from editq.problems import check, plain_errors
from storage.errors import EditqError, Unavailable

JSON = dict[str, Any]
Told = Callable[[int, int], None]
"""Is told how many bytes of how many were sent. Begins again at 0 where an upload is tried again."""

_PIECE_BYTES = 1 << 20
_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 5.0
_SLOWEST_STORE = 10e6  # bytes a second that a service's store surely takes once it has a file


class FileCalls:
    """The part of Client that is about files. Every method may raise EditqError."""

    _http: httpx.Client
    _retry_s: float

    @abstractmethod
    def _json(self, method: str, path: str, **arguments: Any) -> JSON: ...
    @abstractmethod
    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response: ...
    @abstractmethod
    def _pages(self, path: str, asked: Mapping[str, Any], limit: int | None) -> Iterator[JSON]: ...

    def upload_file(self, path: Path, *, filename: str | None = None, told: Told | None = None) -> JSON:
        """The file's record. It is sent piece by piece, and not at all where the service has it already: so
        to upload many again after an interruption sends what is missing.

        Where the service is away or too busy it is tried again, with pauses of `retry_s` altogether.
        """
        sha256, byte_size = _digest(path)
        left_s, pause_s = self._retry_s, _PAUSE_S
        while True:
            try:
                known = self.file_of(sha256)
                return known or self._send(path, filename or path.name, sha256, byte_size, told)
            except EditqError as error:
                wait_s = random.uniform(pause_s / 2, pause_s)
                left_s -= wait_s
                if error.status != Unavailable.status or left_s < 0:
                    raise
            time.sleep(wait_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

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

    def _send(self, path: Path, name: str, sha256: str, byte_size: int, told: Told | None) -> JSON:
        timeout = httpx.Timeout(
            self._http.timeout.read, read=(self._http.timeout.read or 0.0) + byte_size / _SLOWEST_STORE
        )
        with path.open("rb") as file:
            return self._json(
                "POST",
                "/v1/files",
                params={"filename": name, "sha256": sha256},
                headers={"Content-Type": "application/octet-stream", "Content-Length": str(byte_size)},
                content=_pieces(file, byte_size, told),
                timeout=timeout,
            )


def _pieces(file: BinaryIO, byte_size: int, told: Told | None) -> Iterator[bytes]:
    sent, piece = 0, b""
    while True:
        sent += len(piece)
        if told is not None:
            told(sent, byte_size)
        piece = file.read(_PIECE_BYTES)
        if not piece:
            return
        yield piece


def _digest(path: Path) -> tuple[str, int]:
    """SHA-256 and size."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return digest.hexdigest(), file.tell()
