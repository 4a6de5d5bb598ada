"""The whole thing, started as a user starts it: commands, environment, HTTP."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import Place, make_place, processes_with
from tiny_model import make_tiny_model


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """An empty data folder, in a path with spaces. Whatever a test leaves running there is ended and told."""
    here = make_place(tmp_path / "a data folder")
    yield here
    leftover = here.processes()
    for pid, _ in list(processes_with(f"EDITQ_DATA_DIR={here.path}".encode())):
        if pid != os.getpid():
            os.kill(pid, signal.SIGKILL)
    assert leftover == []


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model of random weights, called tiny."""
    folder = tmp_path_factory.mktemp("tiny models")
    make_tiny_model(folder, "tiny")
    return folder


@pytest.fixture
def tiny(place: Place, tiny_models: Path) -> Place:
    """A data folder that knows the tiny model."""
    place.register(tiny_models)
    return place
