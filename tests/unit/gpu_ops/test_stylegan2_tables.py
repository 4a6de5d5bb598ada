"""Generators of any table of channels: what is drawn, and what a file keeps of it."""

from pathlib import Path

import numpy as np
import pytest
import reference_stylegan2 as reference
import torch

from gpu_ops.stylegan2.discriminator import Discriminator
from gpu_ops.stylegan2.files import load_generator, save_generator
from gpu_ops.stylegan2.generator import Generator, GeneratorConfig
from gpu_ops.stylegan2.synthesis import channels_at

TABLE = GeneratorConfig(
    resolution=16, z_dim=4, w_dim=6, mapping_layers=2, channel_base=160, channel_max=(3, 7, 10)
)


def test_a_cap_for_each_resolution() -> None:
    assert [channels_at(size, 160, (3, 7, 10)) for size in (4, 8, 16)] == [3, 7, 10]
    assert [channels_at(size, 64, (3, 7, 10)) for size in (4, 8, 16)] == [3, 7, 4]


def test_one_cap_for_all_up_to_1024_px() -> None:
    sizes = [4 << level for level in range(9)]
    assert [channels_at(size, 32768, 512) for size in sizes] == [512] * 5 + [256, 128, 64, 32]
    assert [channels_at(size, 16384, 512) for size in sizes] == [512] * 4 + [256, 128, 64, 32, 16]


@torch.no_grad()
def test_a_generator_of_such_a_table_equals_the_reference() -> None:
    generator = Generator(TABLE).double()
    for parameter in generator.parameters():
        parameter.normal_()
    weights = {name: tensor.numpy() for name, tensor in generator.state_dict().items()}
    w_plus = torch.randn(1, generator.num_ws, 6, dtype=torch.float64)
    noise = {name.removesuffix(".noise_const"): weights[name] for name in weights if "noise_const" in name}
    picture, features = reference.synthesise(weights, w_plus[0].numpy(), 16, noise)
    got = generator.synthesise(w_plus)
    assert [maps.shape[1] for maps in got.features] == [3, 3, 7, 7, 10, 10]
    np.testing.assert_allclose(got.picture[0].numpy(), picture, rtol=1e-6, atol=1e-9 * np.abs(picture).max())
    np.testing.assert_allclose(got.features[-1][0].numpy(), features[-1], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("config", [TABLE, GeneratorConfig(8, 4, 4, 2, 64, 6)], ids=["table", "formula"])
def test_a_file_keeps_the_table(config: GeneratorConfig, tmp_path: Path) -> None:
    generator = Generator(config)
    save_generator(tmp_path / "generator.safetensors", generator)
    loaded = load_generator(tmp_path / "generator.safetensors")
    assert loaded.config == config
    for name, tensor in generator.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])


def test_a_discriminator_of_such_a_table() -> None:
    assert Discriminator(16, 160, (3, 7, 10))(torch.randn(2, 3, 16, 16)).shape == (2,)
