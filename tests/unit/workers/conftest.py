from pathlib import Path

import pytest
from worker_trial import Trial

from storage.memory import memory_stores
from storage.settings import Settings


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(memory_stores(), Settings(data_dir=tmp_path, device="cpu"))
