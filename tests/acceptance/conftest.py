"""The whole thing, started as a user starts it: commands, environment, HTTP."""

import os
import signal
import subprocess
import sys
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


@pytest.fixture
def tiny(place: Place) -> Place:
    """A data folder that knows a tiny model with random weights, called cars."""
    register = (
        "import sys; from pathlib import Path; from workers.release import release; "
        "from storage.settings import Settings; release(Settings(), Path(sys.argv[1]))"
    )
    models = place.path / "tiny models"
    make_tiny_model(models)
    subprocess.run([sys.executable, "-c", register, str(models)], env=place.env, check=True)
    return place
