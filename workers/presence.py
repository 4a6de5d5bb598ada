"""A worker says on the board that it is there: from its parent process, which loads no torch."""

import importlib.metadata
import logging
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

from storage.settings import Settings
from storage.stores import ProgressBoard

log = logging.getLogger(__name__)


class Presence:
    def __init__(self, queue: str, board: ProgressBoard, settings: Settings) -> None:
        self._board, self._every_s, self._alive = board, settings.presence_s, settings.alive_file
        self._worker: dict[str, Any] = {
            "name": worker_name(queue, os.getpid()),
            "queue": queue,
            "pid": os.getpid(),
            "started_at": time.time(),
            "device": likely_device(settings.device),
            "threads": settings.threads or len(os.sched_getaffinity(0)),
        }

    def run(self, ended: threading.Event) -> None:
        """Repeat it until told to end, then take it back."""
        while True:
            try:
                if self._alive is not None:
                    self._alive.touch()
                self._board.present(self._worker, ttl_s=3 * self._every_s)
            except Exception as error:  # noqa: BLE001  presence is a rumour, and ends no worker
                log.warning("presence: %s", error)
            if ended.wait(self._every_s):
                break
        self._board.absent(self._worker["name"])


def likely_device(wanted: str) -> str:
    """What `auto` will come to in the pool child, found without loading torch, or where there is none."""
    if wanted != "auto":
        return wanted
    try:
        cpu_build = importlib.metadata.version("torch").endswith("+cpu")
    except importlib.metadata.PackageNotFoundError:  # housekeeping needs none
        return "cpu"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1")
    return "cpu" if hidden or cpu_build or not Path("/dev/nvidiactl").exists() else "cuda"


def worker_name(queue: str, parent_pid: int) -> str:
    """How rows and the board call a worker: its parent process, which outlives its children."""
    return f"{socket.gethostname()}:{parent_pid}:{queue}"
