"""What only a GPU can prove: `make test-gpu`. Each test holds CUDA against float64 on the CPU.

They need torch, lpips and what gpu_ops imports, nothing of the service; no conftest above this one is to be
loaded where that is missing: `--confcutdir tests/gpu`. EDITQ_GPU_TESTS=cpu runs those that can on a CPU
instead, to try the tests themselves.
"""

import copy
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

# cuBLAS reads it when it starts; deterministic algorithms need it
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import pytest
import torch

HERE = Path(__file__).parent
CARS = HERE.parents[1] / "gpu_ops" / "pretrained" / "cars"
DEVICE = os.environ.get("EDITQ_GPU_TESTS", "cuda")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = DEVICE == "cuda" and not torch.cuda.is_available()
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.gpu)
            if missing:
                item.add_marker(pytest.mark.skip(reason="there is no CUDA device here"))


@pytest.fixture(autouse=True)
def _float32_is_float32() -> Iterator[None]:
    """No TensorFloat-32; seeds as in every test."""
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    torch.manual_seed(0)
    yield
    for backend, allowed in zip(backends, before, strict=True):
        backend.allow_tf32 = allowed


@pytest.fixture
def _deterministic() -> Iterator[None]:
    """Of every operator the deterministic form; one that has none raises."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def device() -> str:
    return DEVICE


@pytest.fixture(scope="session")
def cars(device: str):
    """The bundled model on the GPU, with an identity network of random weights, in float32."""
    from gpu_ops.bundle import load_bundle
    from gpu_ops.identity import Identity, IdentityConfig

    bundle = load_bundle(CARS, device)
    torch.manual_seed(3)
    identity = Identity(IdentityConfig(width=8, size=16)).eval().requires_grad_(False)
    return replace(bundle, identity=identity.to(device))


@pytest.fixture(scope="session")
def exact(cars):
    """The same in float64 on the CPU."""
    from gpu_ops.prior import WhitenedPrior

    networks = {
        name: copy.deepcopy(getattr(cars, name)).cpu().double()
        for name in ("generator", "segmenter", "perceptual", "judge", "encoder", "identity")
    }
    prior = WhitenedPrior(cars.prior.whiten.cpu().double())
    return replace(cars, **networks, prior=prior, device=torch.device("cpu"))


@pytest.fixture(scope="session")
def wide(cars, exact, device: str):
    """The same in float64 on the GPU."""
    networks = {
        name: copy.deepcopy(getattr(exact, name)).to(device)
        for name in ("generator", "segmenter", "perceptual", "encoder")
    }
    prior = replace(exact.prior, whiten=exact.prior.whiten.to(device))
    return replace(cars, **networks, prior=prior, judge=None, identity=None)


@pytest.fixture(scope="session")
def plain(cars):
    """The same in float32 on the CPU."""
    from gpu_ops.bundle import load_bundle

    bundle = load_bundle(CARS)
    return replace(bundle, identity=copy.deepcopy(cars.identity).cpu())


@pytest.fixture(scope="session")
def codes(exact) -> torch.Tensor:
    """w_plus [8, L, D] float64 on the CPU, at truncation 0.7."""
    z = torch.randn(8, exact.generator.config.z_dim, generator=torch.Generator().manual_seed(11))
    with torch.no_grad():
        return exact.generator.map(z.double(), 0.7).contiguous()
