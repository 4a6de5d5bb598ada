from pathlib import Path

import pytest
from tiny_model import make_tiny_model
from worker_trial import Trial

from storage.memory import memory_stores
from storage.settings import Settings


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(memory_stores(), Settings(data_dir=tmp_path, device="cpu"))


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models, with one small one in it."""
    folder = tmp_path_factory.mktemp("pretrained")
    make_tiny_model(folder)
    return folder
