"""Generator and discriminator equal a reference written separately, both in float64; names and shapes too."""

import numpy as np
import pytest
import reference_stylegan2 as reference
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from gpu_ops.stylegan2.discriminator import Discriminator
from gpu_ops.stylegan2.generator import Generator, GeneratorConfig

SMALL = GeneratorConfig(resolution=8, z_dim=6, w_dim=5, mapping_layers=2, channel_base=64, channel_max=7)
MIDDLE = GeneratorConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=8, channel_base=128, channel_max=12)
CLAMPED = GeneratorConfig(
    resolution=32, z_dim=4, w_dim=6, mapping_layers=3, channel_base=192, channel_max=16, conv_clamp=1.5
)
CONFIGS = pytest.mark.parametrize("config", [SMALL, MIDDLE, CLAMPED], ids=lambda c: f"{c.resolution}px")


def random_weights(network: torch.nn.Module) -> dict[str, np.ndarray]:
    """Fill every parameter and w_avg, also those that start at zero or one; return them by name."""
    rng = np.random.default_rng(1)
    weights = {}
    for name, tensor in network.double().state_dict().items():
        value = tensor.numpy().copy()
        if not name.endswith("resample_filter"):
            spread = 100.0 if ".fc" in name and name.startswith("mapping") else 1.0
            value = rng.standard_normal(value.shape) * spread
        weights[name] = value
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
    return weights


def assert_equal(got: torch.Tensor, expected: np.ndarray) -> None:
    """To 1e-6 of each value, or 1e-9 of the largest where they cancel out."""
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())


def normal(*shape: int, seed: int = 2) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@CONFIGS
@pytest.mark.parametrize("psi", [1.0, 0.7, 0.0, -0.5])
@torch.no_grad()
def test_mapping_and_truncation(config: GeneratorConfig, psi: float) -> None:
    generator = Generator(config)
    weights = random_weights(generator)
    z = normal(3, config.z_dim)
    got = generator.map(z, psi)
    assert got.shape == (3, generator.num_ws, config.w_dim)
    for item in range(3):
        w = reference.map_z(weights, z[item].numpy(), config.mapping_layers)
        for layer in range(generator.num_ws):
            assert_equal(got[item, layer], reference.truncate(weights, w, psi))


def noise_planes(
    generator: Generator, weights: dict[str, np.ndarray], mode: str, item: int, count: int
) -> dict[str, np.ndarray] | None:
    """The noise that each layer of one item should see; random noise is drawn layer after layer."""
    if mode == "none":
        return None
    names = [name.removesuffix(".noise_const") for name in weights if name.endswith(".noise_const")]
    if mode == "const":
        return {name: weights[f"{name}.noise_const"] for name in names}
    rng = torch.Generator().manual_seed(9)
    planes = {}
    for name in names:
        size = weights[f"{name}.noise_const"].shape[0]
        drawn = torch.randn((count, 1, size, size), generator=rng, dtype=torch.float64)
        planes[name] = drawn[item, 0].numpy()
    return planes


@CONFIGS
@pytest.mark.parametrize("mode", ["const", "none", "random"])
@torch.no_grad()
def test_synthesis(config: GeneratorConfig, mode: str) -> None:
    generator = Generator(config)
    weights = random_weights(generator)
    w_plus = normal(2, generator.num_ws, config.w_dim)  # another w for every layer
    got = generator.synthesise(w_plus, mode, torch.Generator().manual_seed(9))
    for item in range(2):
        noise = noise_planes(generator, weights, mode, item, 2)
        picture, features = reference.synthesise(
            weights, w_plus[item].numpy(), config.resolution, noise, config.conv_clamp
        )
        assert len(got.features) == len(features)
        for mine, theirs in zip(got.features, features, strict=True):
            assert_equal(mine[item], theirs)
        assert_equal(got.picture[item], picture)


@torch.no_grad()
def test_the_clamp_and_every_noise_mode_make_a_difference() -> None:
    """Or the comparisons above would prove nothing about them."""
    clamped, free = Generator(CLAMPED), Generator(GeneratorConfig(**{**vars(CLAMPED), "conv_clamp": None}))
    random_weights(clamped)
    random_weights(free)
    w_plus = normal(1, clamped.num_ws, CLAMPED.w_dim)
    assert not torch.allclose(clamped.synthesise(w_plus).picture, free.synthesise(w_plus).picture)
    const, none, drawn = (free.synthesise(w_plus, mode).picture for mode in ("const", "none", "random"))
    assert not torch.allclose(const, none)
    assert not torch.allclose(const, drawn)


@pytest.mark.parametrize("count", [1, 3, 4, 8])
@pytest.mark.parametrize("resolution", [8, 16, 32])
@torch.no_grad()
def test_discriminator(resolution: int, count: int) -> None:
    discriminator = Discriminator(resolution, channel_base=resolution * 6, channel_max=10)
    weights = random_weights(discriminator)
    pictures = normal(count, 3, resolution, resolution)
    assert_equal(discriminator(pictures), reference.discriminate(weights, pictures.numpy()))


@torch.no_grad()
def test_a_picture_of_a_batch_is_the_picture_alone() -> None:
    generator = Generator(MIDDLE).double()
    w_plus = normal(3, generator.num_ws, MIDDLE.w_dim)
    together = generator.synthesise(w_plus).picture
    alone = torch.cat([generator.synthesise(code[None]).picture for code in w_plus])
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-9)


def published_shapes(config: GeneratorConfig) -> dict[str, tuple[int, ...]]:
    """The keys that docs of the published checkpoints list, for one configuration."""
    shapes: dict[str, tuple[int, ...]] = {"mapping.w_avg": (config.w_dim,)}
    for index in range(config.mapping_layers):
        inputs = config.z_dim if index == 0 else config.w_dim
        shapes[f"mapping.fc{index}.weight"] = (config.w_dim, inputs)
        shapes[f"mapping.fc{index}.bias"] = (config.w_dim,)

    def affine(name: str, width: int) -> None:
        shapes[f"{name}.affine.weight"] = (width, config.w_dim)
        shapes[f"{name}.affine.bias"] = (width,)

    inputs, size = 0, 4
    while size <= config.resolution:
        block = f"synthesis.b{size}"
        outputs = min(config.channel_base // size, config.channel_max)
        layers = {"conv0": inputs, "conv1": outputs}
        if size == 4:
            shapes[f"{block}.const"] = (outputs, 4, 4)
            del layers["conv0"]
        for layer, width in layers.items():
            name = f"{block}.{layer}"
            shapes[f"{name}.weight"] = (outputs, width, 3, 3)
            shapes[f"{name}.bias"] = (outputs,)
            shapes[f"{name}.noise_const"] = (size, size)
            shapes[f"{name}.noise_strength"] = ()
            shapes[f"{name}.resample_filter"] = (4, 4)
            affine(name, width)
        shapes[f"{block}.torgb.weight"] = (3, outputs, 1, 1)
        shapes[f"{block}.torgb.bias"] = (3,)
        affine(f"{block}.torgb", outputs)
        inputs, size = outputs, size * 2
    return shapes


@pytest.mark.parametrize(
    "config",
    [
        GeneratorConfig(resolution=64),
        GeneratorConfig(64, z_dim=512, w_dim=512, mapping_layers=8, channel_base=16384, channel_max=512),
    ],
    ids=["bundled", "published"],
)
def test_names_and_shapes_are_the_published_ones(config: GeneratorConfig) -> None:
    with torch.device("meta"):
        generator = Generator(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in generator.state_dict().items()}
    assert shapes == published_shapes(config)
    assert generator.num_ws == 10


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("resolution", "base", "channels"),
    [(64, 16384, 4608), (256, 16384, 4992), (256, 32768, 5888), (512, 32768, 6016), (1024, 32768, 6080)],
)
def test_feature_channels(resolution: int, base: int, channels: int) -> None:
    """Without computing anything: tensors that have shapes alone."""
    with FakeTensorMode():
        generator = Generator(GeneratorConfig(resolution, 512, 512, 8, base, 512))
        output = generator.synthesise(torch.zeros(2, generator.num_ws, 512))
    assert output.picture.shape == (2, 3, resolution, resolution)
    assert sum(maps.shape[1] for maps in output.features) == channels
    assert len(output.features) == generator.num_ws
