"""Imports files that are to be refused, and watches that nothing of them runs and nothing stays behind."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu_ops.importers.importing import import_files
from gpu_ops.importers.limits import Limits
from gpu_ops.importers.reader.recognise import read_contents
from gpu_ops.importers.refusals import CheckpointRefused


@contextlib.contextmanager
def leaving_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No canary, model or temporary file may be there in the end; a test's own files begin with "given"."""
    temporary = folder / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    yield
    assert not list(temporary.iterdir())
    assert {path.name for path in folder.iterdir() if not path.name.startswith("given")} == {"temporary"}


def refused(data: bytes, tmp_path: Path, limits: Limits | None = None) -> CheckpointRefused:
    """Import a file of these bytes, and return what it was refused for."""
    path = tmp_path / "given.pkl"
    path.write_bytes(data)
    with pytest.raises(CheckpointRefused) as refusal:
        import_files([path], tmp_path / "model", limits=limits)
    assert str(refusal.value).startswith("given.pkl: ")
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 600
    return refusal.value


def refused_here(data: bytes, folder: Path) -> CheckpointRefused:
    """Read bytes as the reading process does, and return what they were refused for: quicker by a process."""
    with pytest.raises(CheckpointRefused) as refusal:
        in_this_process(data, folder)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 600
    return refusal.value


def in_this_process(data: bytes, folder: Path) -> None:
    path = folder / "given-here.bin"
    path.write_bytes(data)
    with path.open("rb") as file:
        read_contents(file, memoryview(data), Limits())
