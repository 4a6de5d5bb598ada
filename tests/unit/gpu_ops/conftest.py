"""Tiny random models that every test of gpu_ops may share, as files and in hand."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_model import make_tiny_model

from gpu_ops.bundle import Bundle, load_bundle

# Threads of several processes that share a few cores wait for each other far longer than they work.
torch.set_num_threads(1)

THOROUGH = ("test_importers_", "test_training_")  # they train, and read whole checkpoints


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.name.startswith(THOROUGH):
            item.add_marker(pytest.mark.thorough)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder; read only."""
    return make_tiny_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Bundle:
    """A random model of 32 px and four parts, shared by all tests: none may change it."""
    bundle = load_bundle(tiny_folder)
    _spread_parts(bundle)
    return bundle


@pytest.fixture
def tiny64(tiny: Bundle) -> Bundle:
    """The same model in float64, the test's own."""
    bundle = copy.deepcopy(tiny)
    for network in (bundle.generator, bundle.segmenter, bundle.perceptual):
        network.double()
    return Bundle(**{**vars(bundle), "prior": type(bundle.prior).fit(bundle.generator, samples=500)})


@torch.no_grad()
def _spread_parts(bundle: Bundle) -> None:
    """Give the random segmenter statistics of its own inputs, so that its masks show every part."""
    generator, segmenter = bundle.generator, bundle.segmenter
    z = torch.randn(8, generator.config.z_dim, generator=torch.Generator().manual_seed(5))
    features = generator.synthesise(generator.map(z)).features
    size = bundle.resolution_px
    resized = [torch.nn.functional.interpolate(maps, size=(size, size), mode="bilinear") for maps in features]
    rows = torch.cat(resized, dim=1).permute(0, 2, 3, 1).flatten(0, 2)[::4]
    segmenter.train()
    for _ in range(60):
        segmenter.each(rows)
    segmenter.eval()
    logits = segmenter.each(rows).mean(dim=0)  # [P, K]
    segmenter.bias3 -= logits.mean(dim=0)


@pytest.fixture(scope="session")
def codes(tiny: Bundle) -> Callable[..., torch.Tensor]:
    """A function that draws `count` codes w_plus [N, L, D] of the tiny model."""

    def draw(count: int, seed: int = 0) -> torch.Tensor:
        z = torch.randn(count, tiny.generator.config.z_dim, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            return tiny.generator.map(z, 0.9).contiguous()

    return draw
