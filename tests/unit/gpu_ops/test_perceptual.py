"""Perceptual distance is lpips's own; weights files are read without trusting them."""

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import gpu_ops.torchvision_shim  # noqa: F401  before torchvision
from gpu_ops.errors import WeightsError
from gpu_ops.network_file import save_network
from gpu_ops.perceptual import Perceptual, load_backbone, load_bundled

import lpips  # isort: skip
from torchvision import models  # isort: skip

Weights = dict[str, torch.Tensor]


def pair(count: int = 3, size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    one, two = torch.rand((2, count, 3, size, size), generator=rng, dtype=torch.float64) * 2 - 1
    return one, two


@pytest.mark.thorough
@pytest.mark.parametrize("net", ["squeeze", "alex"])
@pytest.mark.parametrize("calibrated", [True, False])
def test_the_distance_and_its_gradient_are_those_of_lpips(net: str, calibrated: bool) -> None:
    mine = Perceptual(net, calibrated=calibrated, name="x").double()
    with warnings.catch_warnings(action="ignore"):
        theirs = lpips.LPIPS(net=net, lpips=calibrated, pnet_rand=True, verbose=False).double()
    theirs.net.load_state_dict(mine.lpips.net.state_dict())
    one, two = pair()
    one.requires_grad_()
    got, expected = mine(one, two), theirs(one, two).flatten()
    assert got.shape == (3,)
    assert (got > 0).all()
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)
    slopes = [torch.autograd.grad(value.sum(), one)[0] for value in (got, expected)]
    torch.testing.assert_close(*slopes, rtol=1e-8, atol=1e-12)


def test_a_picture_is_no_distance_from_itself() -> None:
    network = Perceptual("squeeze", calibrated=False, name="x")
    one, _ = pair()
    assert network(one.float(), one.float()).tolist() == [0, 0, 0]


def test_features_of_a_target_can_be_kept() -> None:
    network = Perceptual("squeeze", calibrated=True, name="x").double()
    one, two = pair()
    kept = network.features(two)
    assert torch.equal(network.distance(network.features(one), kept), network(one, two))


def test_places_where_nothing_fires_have_a_gradient() -> None:
    """The slope of a length of zero is NaN; the ReLU before it must keep that from the picture."""
    network = Perceptual("squeeze", calibrated=False, name="x").double()
    first = network.lpips.net.slice1[0]
    first.weight.zero_()
    first.weight[:, 0] = 0.1
    first.bias.fill_(-0.2)  # all channels are silent where the picture is dark
    one, two = pair()
    one[:, :, :32] = -1
    one.requires_grad_()
    features = network.features(one)
    assert (features[0].square().sum(dim=1) == 0).any()
    (slope,) = torch.autograd.grad(network.distance(features, network.features(two)).sum(), one)
    assert torch.isfinite(slope).all()
    assert slope.abs().max() > 0


def published(net: str) -> Weights:
    """Random weights under torchvision's names; of vgg16 and alexnet the convolutions alone."""
    if net == "squeeze":
        return models.squeezenet1_1().state_dict()
    if net == "alex":
        with torch.device("meta"):
            shapes = models.alexnet().state_dict()
    else:
        with torch.device("meta"):
            shapes = models.vgg16().state_dict()
    return {
        name: torch.randn(tensor.shape) * (2 / max(tensor[0].numel(), 1)) ** 0.5
        for name, tensor in shapes.items()
        if name.startswith("features")
    }


def write(path: Path, weights: Weights) -> Path:
    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path)
    return path


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("net", "suffix"),
    [
        ("squeeze", ".pth"),
        ("squeeze", ".safetensors"),
        ("alex", ".pth"),
        ("alex", ".safetensors"),
        ("vgg", ".safetensors"),
    ],
)
def test_backbones_of_torchvision_are_recognised_and_calibrated(
    tmp_path: Path, net: str, suffix: str
) -> None:
    weights = published(net)
    network = load_backbone(write(tmp_path / f"w{suffix}", weights))
    assert network.name == f"{net} (w{suffix}), calibrated"
    assert (network.edit_factor, network.invert_factor) == (1, 1)
    for key, tensor in network.lpips.net.state_dict().items():
        assert torch.equal(tensor, weights["features." + key.split(".", 1)[1]])
    heads = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth"
    for key, tensor in torch.load(heads, map_location="cpu", weights_only=True).items():
        assert torch.equal(network.lpips.state_dict()[key], tensor)
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(module.training for module in network.modules())


def test_half_precision_weights_are_taken_too(tmp_path: Path) -> None:
    weights = {name: tensor.half() for name, tensor in published("squeeze").items()}
    network = load_backbone(write(tmp_path / "half.safetensors", weights))
    assert {tensor.dtype for tensor in network.parameters()} == {torch.float32}


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("form", ["zip", "legacy", "plain"])
def test_a_hostile_pickle_is_refused_and_nothing_runs(tmp_path: Path, form: str) -> None:
    ran, path = tmp_path / "ran", tmp_path / "weights.pth"
    content = {"features.0.weight": torch.zeros(64, 3, 3, 3), "x": Hostile(ran)}
    if form == "plain":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(WeightsError, match=r"weights\.pth"):
        load_backbone(path)
    assert not ran.exists()
    torch.load(path, weights_only=False) if form != "plain" else pickle.loads(path.read_bytes())
    assert ran.exists(), "or the file was harmless and the test proved nothing"


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = write(tmp_path / f"w{suffix}", published("squeeze"))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match=f"w{suffix}"):
        load_backbone(path)


def vgg19() -> Weights:
    """Its names and shapes; of no size in a file."""
    with torch.device("meta"):
        shapes = models.vgg19().state_dict()
    zero = torch.zeros(1)
    return {name: zero.expand(t.shape) for name, t in shapes.items() if name.startswith("features")}


def changed(**tensors: Any) -> dict[str, Any]:
    """A SqueezeNet with some entries replaced, `__` standing for dots."""
    return published("squeeze") | {name.replace("__", "."): value for name, value in tensors.items()}


OTHERS: dict[str, Callable[[], Any]] = {
    "resnet": lambda: models.resnet18().state_dict(),
    "squeezenet1_0": lambda: models.squeezenet1_0().state_dict(),
    "vgg19": vgg19,
    "empty": dict,
    "one missing": lambda: {k: v for k, v in published("squeeze").items() if k != "features.7.squeeze.bias"},
    "one of another shape": lambda: changed(features__7__squeeze__bias=torch.zeros(3)),
    "first of another shape": lambda: changed(features__0__weight=torch.zeros(64, 1, 3, 3)),
    "wrapped": lambda: {"state_dict": published("squeeze")},
    "a list": lambda: [torch.zeros(3)],
    "a number": lambda: 3,
    "numbers for names": lambda: {1: torch.zeros(3)},
    "one that is no tensor": lambda: changed(features__0__bias=1.5),
}


@pytest.mark.thorough
@pytest.mark.parametrize("what", OTHERS)
def test_other_networks_are_refused(tmp_path: Path, what: str) -> None:
    torch.save(OTHERS[what](), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth"):
        load_backbone(tmp_path / "w.pth")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for suffix in (".pth", ".safetensors"):
        with pytest.raises(WeightsError, match="none"):
            load_backbone(tmp_path / f"none{suffix}")


def test_the_bundled_form_is_half_precision_with_a_name_and_a_factor(tmp_path: Path) -> None:
    path = tmp_path / "perceptual.safetensors"
    source = models.squeezenet1_1()
    save_network(path, source, {"name": "ours", "edit_factor": 2.5, "invert_factor": 0.5}, half=True)
    network = load_bundled(path)
    assert (network.name, network.calibrated) == ("ours", False)
    assert (network.edit_factor, network.invert_factor) == (2.5, 0.5)
    expected = source.features[0].weight.half().float()
    assert torch.equal(network.lpips.net.slice1[0].weight, expected)


def test_bundled_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "perceptual.safetensors"
    save_file({"x": torch.zeros(1)}, path)  # no configuration
    with pytest.raises(WeightsError, match=path.name):
        load_bundled(path)
    save_network(path, torch.nn.Linear(2, 2), {"name": "ours", "edit_factor": 1.0, "invert_factor": 1.0})
    with pytest.raises(WeightsError, match=path.name):
        load_bundled(path)
    save_network(path, models.squeezenet1_1(), {"name": "ours"})
    with pytest.raises(WeightsError, match="edit_factor"):
        load_bundled(path)
    path.write_bytes(np.random.default_rng(0).bytes(1000))
    with pytest.raises(WeightsError, match=path.name):
        load_bundled(path)
