"""Generators that do not fit are refused, and the message says what was found and expected."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from importers_files import write_persistent, write_rosinality, write_tensorflow
from importers_networks import Network, Shape, persistent_network, rosinality_network, tensorflow_network

from gpu_ops.importers.importing import import_files
from gpu_ops.importers.refusals import LayoutMismatch, UnsupportedNetwork


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that appears if anything in an imported file is executed."""
    return tmp_path / "canary"


def changed(network: Network, name: str, value: np.ndarray | None) -> Network:
    weights = {**network.weights}
    if value is None:
        del weights[name]
    else:
        weights[name] = value
    return replace(network, weights=weights)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (
            "synthesis.b8.conv0.weight",
            np.ones((12, 12, 3, 2)),
            r"b8\.conv0\.weight is \[12, 12, 3, 2\], and \[",
        ),
        ("synthesis.b8.conv0.bias", None, r"synthesis\.b8\.conv0\.bias is missing"),
        ("synthesis.b8.conv0.extra", np.ones(3), r"synthesis\.b8\.conv0\.extra is not expected"),
        ("synthesis.b16.conv1.weight", None, r"synthesis\.b16\.conv1\.weight is missing"),
        ("synthesis.b64.conv1.weight", np.ones((4, 4, 3, 3)), r"blocks of \[4, 8, 16, 64\] px; 4, 8, 16"),
        ("mapping.fc1.weight", None, r"mapping layers \[0, 2\]; 0, 1, 2"),
        ("mapping.w_avg", np.ones(3), r"mapping\.w_avg is \[3\], and \[10\] was expected"),
        ("synthesis.b8.torgb.bias", np.array([0, np.nan, 0]), r"torgb\.bias holds values that are infinite"),
        ("synthesis.b8.resample_filter", np.eye(4), "not the resizing filter"),
        ("synthesis.b8.conv0.resample_filter", np.eye(3), "filter"),
    ],
)
def test_tensors_that_do_not_fit(
    name: str, value: np.ndarray | None, says: str, tmp_path: Path, canary: Path
) -> None:
    network = changed(persistent_network(Shape(16)), name, value)
    path = write_persistent(tmp_path / "one.pkl", network, canary=canary)
    with pytest.raises((LayoutMismatch, UnsupportedNetwork), match=says) as refusal:
        import_files([path], tmp_path / "model")
    assert str(refusal.value).startswith("one.pkl: ")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("synthesis.input.weight", "alias-free network of StyleGAN3"),
        ("synthesis.L0_36_512.weight", "alias-free network of StyleGAN3"),
        ("mapping.embed.weight", "class-conditional"),
        ("synthesis.b8.skip.weight", "residual network"),
    ],
)
def test_networks_of_another_build(name: str, says: str, tmp_path: Path, canary: Path) -> None:
    network = changed(persistent_network(Shape(16)), name, np.ones((2, 2)))
    path = write_persistent(tmp_path / "one.pkl", network, canary=canary)
    with pytest.raises(UnsupportedNetwork, match=says):
        import_files([path], tmp_path / "model")


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"synthesis.b8.architecture": "resnet"}, "architecture is 'resnet'; 'skip' was expected"),
        ({"synthesis.b8.conv0.activation": "relu"}, "activation is 'relu'; 'lrelu' was expected"),
        ({"mapping.fc0.bias_gain": 0.1}, "bias_gain is 0.1; 0.01 was expected"),
        (
            {"synthesis.b8.conv0.conv_clamp": 256, "synthesis.b8.conv1.conv_clamp": None},
            r"clamped at \['256', 'None'\]",
        ),
    ],
)
def test_settings_that_this_project_has_not(
    attributes: dict[str, object], says: str, tmp_path: Path, canary: Path
) -> None:
    network = persistent_network(Shape(16))
    path = write_persistent(tmp_path / "one.pkl", network, canary=canary, attributes=attributes)
    with pytest.raises(UnsupportedNetwork, match=says):
        import_files([path], tmp_path / "model")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"architecture": "resnet"}, "architecture='resnet'; 'skip' was expected"),
        ({"label_size": 10}, "label_size=10; 0 was expected"),
        ({"resample_kernel": [1, 2, 1]}, "resample_kernel"),
        ({"nonlinearity": "relu"}, "nonlinearity='relu'"),
    ],
)
def test_arguments_that_this_project_has_not(
    arguments: dict[str, object], says: str, tmp_path: Path, canary: Path
) -> None:
    network = tensorflow_network(Shape(16))
    path = write_tensorflow(tmp_path / "one.pkl", network, canary=canary, synthesis=arguments)
    with pytest.raises(UnsupportedNetwork, match=says):
        import_files([path], tmp_path / "model")


def test_a_resolution_that_is_not_that_of_the_tensors(tmp_path: Path, canary: Path) -> None:
    network = replace(persistent_network(Shape(16)), resolution=32)
    path = write_persistent(tmp_path / "one.pkl", network, canary=canary)
    with pytest.raises(LayoutMismatch, match="the file says 32 px; its tensors are of 16 px"):
        import_files([path], tmp_path / "model")


def test_a_first_stylegan_is_no_second_one(tmp_path: Path, canary: Path) -> None:
    network = changed(tensorflow_network(Shape(16)), "synthesis/4x4/Const/StyleMod/weight", np.ones((4, 4)))
    path = write_tensorflow(tmp_path / "one.pkl", network, canary=canary)
    with pytest.raises(UnsupportedNetwork, match="first StyleGAN"):
        import_files([path], tmp_path / "model")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("convs.0.conv.weight", np.ones((2, 12, 12, 3, 3)), "a first axis of 1 was expected"),
        ("convs.0.noise.weight", np.ones(2), "one number was expected"),
        ("convs.9.conv.weight", np.ones((1, 12, 12, 3, 3)), "blocks of"),
        ("convs.0.other", np.ones(2), r"convs\.0\.other is no tensor"),
        ("something.else", np.ones(2), r"something\.else is no tensor"),
    ],
)
def test_a_checkpoint_of_rosinality_that_does_not_fit(
    name: str, value: np.ndarray, says: str, tmp_path: Path
) -> None:
    network = changed(rosinality_network(Shape(16)), name, value)
    with pytest.raises(LayoutMismatch, match=says):
        import_files([write_rosinality(tmp_path / "one.pt", network)], tmp_path / "model")


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    network = rosinality_network(Shape(16))
    state = {name: torch.tensor(value).round().int() for name, value in network.weights.items()}
    torch.save({"g_ema": state}, tmp_path / "one.pt")
    with pytest.raises(LayoutMismatch, match=r"of kind torch\.int32"):
        import_files([tmp_path / "one.pt"], tmp_path / "model")
