"""The embedder of persons: unit vectors, for any size of picture, with a slope; and its place in a model."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from gpu_ops.bundle import Bundle, load_bundle
from gpu_ops.errors import WeightsError
from gpu_ops.identity import Identity, IdentityConfig
from gpu_ops.network_file import save_network


@pytest.fixture
def identity() -> Identity:
    return Identity(IdentityConfig(resolution=32, width=4, size=8)).eval()


@pytest.mark.parametrize("size", [16, 32, 64])
def test_it_gives_unit_vectors_for_any_size_of_picture(identity: Identity, size: int) -> None:
    vectors = identity.embed(torch.rand(3, 3, size, size) * 2 - 1)
    assert vectors.shape == (3, 8)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(3), atol=1e-6)


def test_a_picture_s_vector_does_not_depend_on_its_neighbours(identity: Identity) -> None:
    pictures = torch.rand(3, 3, 32, 32) * 2 - 1
    alone = torch.cat([identity.embed(picture[None]) for picture in pictures])
    assert torch.allclose(identity.embed(pictures), alone, atol=1e-6)


def test_the_distance_is_0_to_oneself_and_at_most_2(identity: Identity) -> None:
    vectors = identity.embed(torch.rand(4, 3, 32, 32) * 2 - 1)
    assert torch.allclose(Identity.distance(vectors, vectors), torch.zeros(4), atol=1e-6)
    assert torch.allclose(Identity.distance(vectors, -vectors), torch.full((4,), 2.0), atol=1e-6)


def test_the_distance_has_a_slope_in_the_picture(identity: Identity) -> None:
    kept = identity.embed(torch.rand(1, 3, 32, 32)).detach()
    picture = torch.rand(1, 3, 32, 32, requires_grad=True)
    Identity.distance(identity.embed(picture), kept).sum().backward()
    assert picture.grad is not None
    assert torch.isfinite(picture.grad).all()
    assert picture.grad.abs().max() > 0


def put_in(folder: Path, identity: Identity) -> None:
    save_network(folder / "identity.safetensors", identity, identity.config.as_dict(), half=True)
    description = json.loads((folder / "model.json").read_text())
    description["files"]["identity"] = "identity.safetensors"
    (folder / "model.json").write_text(json.dumps(description))


def test_a_model_may_have_one(tiny: Bundle, tiny_folder: Path, identity: Identity, tmp_path: Path) -> None:
    assert tiny.identity is None
    folder = shutil.copytree(tiny_folder, tmp_path / "cars")
    put_in(folder, identity)
    found = load_bundle(folder).identity
    assert found is not None
    assert not any(parameter.requires_grad for parameter in found.parameters())
    pictures = torch.rand(2, 3, 32, 32) * 2 - 1
    assert torch.allclose(found.embed(pictures), identity.embed(pictures), atol=0.02)


def test_a_file_that_is_no_embedder_is_named(tiny_folder: Path, identity: Identity, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "cars")
    put_in(folder, identity)
    shutil.copy(folder / "judge.safetensors", folder / "identity.safetensors")
    with pytest.raises(WeightsError, match=r"identity\.safetensors"):
        load_bundle(folder)
