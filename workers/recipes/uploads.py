"""Uploaded files on this worker's disk, and what it is called when one is refused."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_ops.importers import refusals
from gpu_ops.importers.limits import Limits
from gpu_ops.importers.sandbox import Checkpoint, read_checkpoint
from storage import errors
from storage.file_records import File
from storage.stores import Objects
from workers.attempt import Attempt

LIMITS = Limits(time_s=240.0)
"""Of one file: shorter than the stall limit of a step."""
_KINDS: tuple[type[errors.EditqError], ...] = (
    *errors.CheckpointRefused.__subclasses__(),
    errors.SandboxUnavailable,
)
_BY_CODE = {kind.code: kind for kind in _KINDS}


@dataclass(frozen=True)
class Upload:
    """A file that a spec names as its member `field`."""

    file: File
    field: str

    @property
    def name(self) -> str:
        """What it is called in messages and cards: the name that it was uploaded under, made harmless."""
        name = re.sub(r"[^A-Za-z0-9._ -]+", "_", self.file.filename or "").strip("._ -")[-100:]
        return name.lstrip("._ -") or self.file.id

    def source(self, checkpoint: Checkpoint, role: str, notes: list[str]) -> dict[str, Any]:
        """Where a part of a model came from, for its card."""
        found = {"file": self.name, "sha256": checkpoint.sha256, "format": checkpoint.format}
        return {**found, "role": role, "notes": notes}


def named_upload(attempt: Attempt, file_id: str, field: str) -> Upload:
    """Raises FileNotFound, naming the field."""
    try:
        return Upload(attempt.stores.library.get_file(attempt.job.tenant_id, file_id), field)
    except errors.FileNotFound as error:
        error.field = field
        raise


@contextmanager
def fetched(objects: Objects, upload: Upload) -> Iterator[Path]:
    """The file on disk, under its own name, until the block ends. Raises ObjectCorrupt, OutputNotFound."""
    with tempfile.TemporaryDirectory(prefix="editq-upload-") as folder:
        path = Path(folder) / upload.name
        with path.open("xb") as file:
            for chunk in objects.stream(upload.file.object):
                file.write(chunk)
        yield path


def read_upload(upload: Upload, path: Path, *, tensor_bytes: int = LIMITS.tensor_bytes) -> Checkpoint:
    """Read it in the sandbox. Raises the error of the importer's code, naming the field."""
    limits = Limits(time_s=LIMITS.time_s, tensor_bytes=tensor_bytes)
    with refusing(upload.field):
        return read_checkpoint(path, limits)


@contextmanager
def refusing(field: str) -> Iterator[None]:
    """What the importer refuses inside becomes the platform's error of the same code, naming the field."""
    try:
        yield
    except refusals.CheckpointRefused as refusal:
        kind = _BY_CODE.get(refusal.code, errors.CheckpointRefused)
        raise kind(f"{str(refusal)[:2000]}.", field=field) from None
