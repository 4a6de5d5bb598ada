"""How the client sends a folder of pictures: as tar shards, several at once, each of them once."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from editq.client_files import FileCalls, Upload
from editq.folder_pictures import ENDINGS, Folder, look_through, walk
from editq.folder_shards import Shard, cut, shard_bytes_for, tar_bytes
from storage.errors import DigestMismatch, InvalidInput

JSON = dict[str, Any]


@dataclass(frozen=True)
class Sent:
    """How far an upload is. Bytes are those of tars, a little more than the pictures'; total_bytes is an
    estimate of them.

    folder         what was found, and what was left aside
    present_bytes  of shards that the service had already: they were not sent
    """

    folder: Folder
    total_bytes: int
    shards: int = 0
    sent_bytes: int = 0
    present_bytes: int = 0


ProgressOf = Callable[[Sent], None]


class FolderCalls(FileCalls):
    """The part of Client that is about folders."""

    def upload_folder(self, folder: Path, *, progress: ProgressOf | None = None, workers: int = 4) -> JSON:
        """Send the pictures below a folder; returns what a batch takes as its inputs.

        Ids of items are the paths below the folder, or what `editq.folder_pictures.item_id` makes of them.
        What the service has already is not sent again, so after an interruption it goes on where it was; a
        shard that fails is tried again for `retry_s`. Pictures are never decoded, and no more is held in
        memory than a few megabytes for each of `workers`, the shards that are sent at once.

        `progress` is called by one thread at a time. Raises InvalidInput for a folder without pictures, and
        for one whose files change while they are read.
        """
        found = look_through(folder)
        if not found.pictures:
            expected = f"files that end in {', '.join(ENDINGS)}"
            raise InvalidInput(f"{folder} holds no pictures.", field="folder", expected=expected)
        sending = _Sending(Sent(found, tar_bytes(0) * found.pictures + found.byte_size), progress)
        shards = cut(walk(Folder(folder)), shard_bytes=shard_bytes_for(found.byte_size, found.pictures))
        name = Path(folder.resolve()).name.encode("ascii", "replace").decode()[:200] or "folder"
        with ThreadPoolExecutor(workers) as pool:
            try:
                pending: deque[Future[str]] = deque()
                files: list[str] = []
                for shard in shards:
                    pending.append(pool.submit(self._send_shard, shard, name, sending))
                    if len(pending) == 2 * workers:
                        files.append(pending.popleft().result())
                files += [future.result() for future in pending]
            except BaseException:
                sending.stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return {"type": "tar", "files": files}

    def _send_shard(self, shard: Shard, name: str, sending: "_Sending") -> str:
        sha256, byte_size = shard.measured()
        told = sending.told_of_shard()
        upload = Upload(
            f"{name}-{shard.number:05d}.tar", sha256, byte_size, lambda: sending.heeding(shard.pieces()), told
        )
        try:
            file, sent = self._keep(upload)
        except DigestMismatch as error:
            detail = f"{sending.now.folder.path} was changed while it was sent: send it once more."
            raise InvalidInput(detail, field="folder") from error
        sending.done(told, byte_size, sent=sent)
        return str(file["id"])


class _Stopped(Exception):
    """Another shard could not be sent, so that this one is not needed."""


@dataclass
class _Sending:
    """What the threads of one upload share."""

    now: Sent
    progress: ProgressOf | None
    stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def heeding(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            if self.stop.is_set():
                raise _Stopped
            yield piece

    def told_of_shard(self) -> "_Told":
        return _Told(self)

    def done(self, told: "_Told", byte_size: int, *, sent: bool) -> None:
        told(byte_size if sent else 0, byte_size)
        self.change(shards=1, present_bytes=0 if sent else byte_size)

    def change(self, **more: int) -> None:
        with self._lock:
            counts = {name: getattr(self.now, name) + count for name, count in more.items()}
            self.now = replace(self.now, **counts)
            if self.progress is not None:
                self.progress(self.now)


@dataclass
class _Told:
    """Of one shard: a try that begins again takes back what the one before had counted."""

    sending: _Sending
    counted: int = 0

    def __call__(self, sent: int, _total: int) -> None:
        self.sending.change(sent_bytes=sent - self.counted)
        self.counted = sent
