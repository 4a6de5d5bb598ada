"""Where the files of a data set go: flat names, as the outputs of a job have them."""

import shutil
from pathlib import Path
from typing import BinaryIO, Protocol

TAR, JSON, LINES = "application/x-tar", "application/json", "application/jsonl"


class Sink(Protocol):
    def put(self, name: str, data: bytes | BinaryIO, media_type: str) -> None:
        """Keep a file whole; one that is read from `data` begins where `data` is now."""


class FolderSink:
    """Into a folder, which is made if need be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, name: str, data: bytes | BinaryIO, media_type: str) -> None:  # noqa: ARG002
        with (self.folder / name).open("wb") as file:
            if isinstance(data, bytes):
                file.write(data)
            else:
                shutil.copyfileobj(data, file)
