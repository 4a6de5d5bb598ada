"""Generators of every published kind of file draw, after import, what their own framework would draw.

The weights are random, in the published layout and shapes; no published file could be tried here.
"""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import reference_stylegan2 as reference
import torch
from importers_files import write_persistent, write_rosinality, write_tensorflow
from importers_networks import Network, Shape, persistent_network, rosinality_network, tensorflow_network

from gpu_ops.importers.importing import import_files
from gpu_ops.stylegan2.files import load_generator
from gpu_ops.stylegan2.generator import Generator

SHAPES = pytest.mark.parametrize(
    "shape",
    [Shape(32), Shape(64, base=512, most=10), Shape(256, base=1024, most=8, layers=8)],
    ids=lambda shape: f"{shape.resolution}px",
)
TOLERANCE = 1e-3


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that appears if anything in an imported file is executed."""
    return tmp_path / "canary"


def imported(path: Path) -> Generator:
    folder = path.parent / f"{path.stem}-model"
    import_files([path], folder)
    return load_generator(folder / "generator.safetensors")


@torch.no_grad()
def assert_draws(generator: Generator, network: Network, tolerance: float = TOLERANCE) -> None:
    """Its pictures are those of the reference, whole and truncated."""
    assert generator.config.resolution == network.resolution
    for z, psi in zip(network.z(2), (1.0, 0.6), strict=True):
        expected = network.expected(z, psi)
        assert 0.3 < expected.std() < 10  # or the tolerance would say nothing
        got = generator(torch.tensor(z[None], dtype=torch.float32), psi)[0]
        np.testing.assert_allclose(got.double().numpy(), expected, rtol=0, atol=tolerance)


@SHAPES
def test_a_snapshot_of_stylegan2_ada_pytorch(shape: Shape, tmp_path: Path, canary: Path) -> None:
    network = persistent_network(shape)
    generator = imported(write_persistent(tmp_path / "network-snapshot.pkl", network, canary=canary))
    assert_draws(generator, network)
    assert not canary.exists()


@SHAPES
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_a_checkpoint_of_rosinality(shape: Shape, zipped: bool, tmp_path: Path) -> None:
    network = rosinality_network(shape)
    assert_draws(imported(write_rosinality(tmp_path / "550000.pt", network, zipped=zipped)), network)


@SHAPES
def test_a_pickle_of_tensorflow(shape: Shape, tmp_path: Path, canary: Path) -> None:
    network = tensorflow_network(shape)
    generator = imported(write_tensorflow(tmp_path / "stylegan2-config-f.pkl", network, canary=canary))
    assert_draws(generator, network)
    assert not canary.exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pickles(protocol: int, tmp_path: Path, canary: Path) -> None:
    shape = Shape(16)
    one, other = persistent_network(shape), tensorflow_network(shape)
    first = write_persistent(tmp_path / "one.pkl", one, canary=canary, protocol=protocol)
    second = write_tensorflow(tmp_path / "other.pkl", other, canary=canary, protocol=protocol)
    assert_draws(imported(first), one)
    assert_draws(imported(second), other)
    assert not canary.exists()


def test_ordinary_loading_would_execute_what_these_files_hold(tmp_path: Path, canary: Path) -> None:
    """Or the absent canary above would prove nothing."""
    from importers_files import published_modules

    path = write_persistent(tmp_path / "one.pkl", persistent_network(Shape(8)), canary=canary)
    with published_modules():
        pickle.loads(path.read_bytes())
    assert canary.exists()


def test_arrays_in_fortrans_order(tmp_path: Path, canary: Path) -> None:
    network = tensorflow_network(Shape(16))
    path = write_tensorflow(tmp_path / "one.pkl", network, canary=canary, order="F")
    assert_draws(imported(path), network)


def test_weights_that_lie_in_another_order_or_are_views(tmp_path: Path) -> None:
    network = rosinality_network(Shape(16))
    state = {name: torch.tensor(np.float32(value)) for name, value in network.weights.items()}
    for name, tensor in state.items():
        if tensor.dim() == 5:
            state[name] = tensor[0].to(memory_format=torch.channels_last)[None]
        elif tensor.dim() == 2:
            state[name] = tensor.T.contiguous().T
        elif tensor.dim() == 1 and len(tensor) > 1:
            state[name] = torch.cat([torch.zeros(3), tensor])[3:]
    torch.save({"g_ema": state, "latent_avg": torch.tensor(np.float32(network.w_avg))}, tmp_path / "a.pt")
    assert_draws(imported(tmp_path / "a.pt"), network)


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float64, 1e-3), (torch.float16, 0.1)])
def test_weights_of_other_precision_become_float32(
    kind: torch.dtype, tolerance: float, tmp_path: Path
) -> None:
    network = rosinality_network(Shape(16))
    state = {name: torch.tensor(value).to(kind) for name, value in network.weights.items()}
    torch.save({"g_ema": state, "latent_avg": torch.tensor(network.w_avg)}, tmp_path / "a.pt")
    generator = imported(tmp_path / "a.pt")
    assert {tensor.dtype for tensor in generator.state_dict().values()} == {torch.float32}
    assert_draws(generator, network, tolerance)


@pytest.mark.parametrize("where", ["layers", "stylegan2-ada-pytorch", "stylegan3"])
def test_the_clamp_is_found_wherever_it_is_written(where: str, tmp_path: Path, canary: Path) -> None:
    network = persistent_network(Shape(16), clamp=1.2)
    kwargs, attributes = {}, {}
    if where == "layers":
        layers = [
            name.removesuffix(".bias") for name in network.weights if name.endswith(("v0.bias", "v1.bias"))
        ]
        layers += [f"synthesis.b{size}.torgb" for size in (4, 8, 16)]
        attributes = {f"{layer}.conv_clamp": 1.2 for layer in layers}
    elif where == "stylegan3":
        kwargs = {"conv_clamp": 1.2, "num_fp16_res": 4}
    else:
        kwargs = {"synthesis_kwargs": {"conv_clamp": 1.2, "num_fp16_res": 4, "channel_base": 256}}
    path = tmp_path / "one.pkl"
    generator = imported(write_persistent(path, network, canary=canary, attributes=attributes, **kwargs))
    assert generator.config.conv_clamp == 1.2
    assert_draws(generator, network)
    assert not np.allclose(
        persistent_network(Shape(16)).expected(network.z()[0], 1), network.expected(network.z()[0], 1)
    )


def test_another_filter_than_the_usual_one(
    tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = np.array([1.0, 5.0, 5.0, 1.0]) / 12
    monkeypatch.setattr(reference, "FILTER", np.outer(row, row))
    one, other = persistent_network(Shape(16)), rosinality_network(Shape(16))
    assert_draws(imported(write_persistent(tmp_path / "one.pkl", one, canary=canary)), one)
    assert_draws(imported(write_rosinality(tmp_path / "other.pt", other)), other)


def test_any_table_of_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shape, "channels", lambda self, size: {4: 5, 8: 9, 16: 3, 32: 7}[size])
    network = rosinality_network(Shape(32))
    generator = imported(write_rosinality(tmp_path / "one.pt", network))
    assert generator.config.channel_max == (5, 9, 3, 7)
    assert_draws(generator, network)


def test_a_usual_table_is_told_by_base_and_cap(tmp_path: Path) -> None:
    generator = imported(
        write_rosinality(tmp_path / "one.pt", rosinality_network(Shape(64, base=512, most=20)))
    )
    assert (generator.config.channel_base, generator.config.channel_max) == (512, 20)


def test_a_mean_that_is_missing_is_taken_of_samples(tmp_path: Path) -> None:
    network = rosinality_network(Shape(16))
    path = write_rosinality(tmp_path / "one.pt", network, mean=False)
    description = import_files([path], tmp_path / "model")
    assert description["imported"][0]["notes"] == ["the file has no mean w: it is that of 10000 samples"]
    generator = load_generator(tmp_path / "model" / "generator.safetensors")
    samples = np.array(
        [network.map(z) for z in np.random.default_rng(5).standard_normal((4000, network.z_dim))]
    )
    np.testing.assert_allclose(
        generator.mapping.w_avg.numpy(), samples.mean(axis=0), atol=5 * samples.std() / np.sqrt(4000)
    )
    assert_draws(generator, replace(network, w_avg=generator.mapping.w_avg.double().numpy()))


def test_noise_that_is_missing_is_drawn_and_said(tmp_path: Path) -> None:
    network = rosinality_network(Shape(16))
    path = write_rosinality(tmp_path / "one.pt", network, leave_out="noises")
    description = import_files([path], tmp_path / "model")
    assert description["imported"][0]["notes"] == ["the file has no noise: it was drawn anew (seed 0)"]
    generator = load_generator(tmp_path / "model" / "generator.safetensors")
    with torch.no_grad():
        z = torch.tensor(network.z(1), dtype=torch.float32)
        silent = generator.synthesise(generator.map(z), "none").picture[0]
    for name, value in network.weights.items():
        if name.startswith("noises"):
            network.weights[name] = value * 0
    np.testing.assert_allclose(silent.numpy(), network.expected(network.z(1)[0], 1.0), atol=TOLERANCE)
