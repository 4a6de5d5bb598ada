import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from recipe_trial import upload
from tiny_model import make_tiny_model
from worker_trial import Trial

from storage.memory import memory_stores
from storage.settings import Settings
from workers.release import register_models

sys.path.append(str(Path(__file__).parents[1] / "gpu_ops"))  # where published files are written


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(memory_stores(), Settings(data_dir=tmp_path, device="cpu"))


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models, with one small one in it."""
    folder = tmp_path_factory.mktemp("pretrained")
    make_tiny_model(folder)
    return folder


@pytest.fixture
def plant(trial: Trial, pretrained: Path) -> Trial:
    """A trial that has the small model."""
    torch.set_num_threads(1)
    trial.settings = trial.settings.model_copy(update={"threads": 1})
    register_models(trial.stores, pretrained)
    return trial


@pytest.fixture
def picture(plant: Trial) -> str:
    """The id of an upload."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype=np.uint8)
    Pillow.fromarray(pixels).save(buffer, "PNG")
    return upload(plant, buffer.getvalue(), "picture", (48, 40))
