"""Classifiers, encoder and editing vectors; the folder that an import makes; the command."""

import json
import re
from collections import OrderedDict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from importers_files import write_persistent, write_rosinality
from importers_networks import Network, Shape, persistent_network, rosinality_network
from reference_stylegan2 import Array, Weights, synthesise
from safetensors import safe_open

from gpu_ops.bundle import load_bundle, load_segmenter, read_description
from gpu_ops.errors import WeightsError
from gpu_ops.importers.__main__ import main
from gpu_ops.importers.importing import import_files
from gpu_ops.importers.refusals import LayoutMismatch, UnknownFormat
from gpu_ops.stylegan2.files import load_generator

SHAPE = Shape(16)
PARTS = 5
WIDTHS = (6, 4)


@pytest.fixture
def network() -> Network:
    return persistent_network(SHAPE)


@pytest.fixture
def snapshot(network: Network, tmp_path: Path) -> Path:
    return write_persistent(tmp_path / "snapshot.pkl", network, canary=tmp_path / "canary")


def features_channels(shape: Shape) -> list[int]:
    return [shape.channels(4)] + [shape.channels(s) for s in shape.sizes for _ in range(1 if s == 4 else 2)]


def classifier_weights(seed: int, shape: Shape = SHAPE, parts: int = PARTS) -> dict[str, Array]:
    """Linear-ReLU-BatchNorm-Linear-ReLU-BatchNorm-Linear under the numbers that they have in a row."""
    rng = np.random.default_rng(seed)
    widths = [sum(features_channels(shape)), *WIDTHS, parts]
    weights = {}
    for number, (inputs, outputs) in zip((0, 3, 6), pairwise(widths), strict=True):
        weights[f"layers.{number}.weight"] = rng.standard_normal((outputs, inputs)) / np.sqrt(inputs)
        weights[f"layers.{number}.bias"] = rng.standard_normal(outputs)
    for number, width in ((2, widths[1]), (5, widths[2])):
        weights[f"layers.{number}.weight"] = rng.standard_normal(width) + 1
        weights[f"layers.{number}.bias"] = rng.standard_normal(width)
        weights[f"layers.{number}.running_mean"] = rng.standard_normal(width)
        weights[f"layers.{number}.running_var"] = rng.random(width) + 0.5
    return weights


def write_classifier(path: Path, weights: dict[str, Array], prefix: str = "module.", **more: object) -> Path:
    state = OrderedDict((prefix + name, torch.tensor(np.float32(value))) for name, value in weights.items())
    state[f"{prefix}layers.2.num_batches_tracked"] = torch.tensor(9)
    state[f"{prefix}layers.5.num_batches_tracked"] = torch.tensor(9)
    torch.save({"model_state_dict": state, **more}, path)
    return path


def expected_logits(weights: Weights, features: Array) -> Array:
    """features [P, C] -> [P, K], in float64."""
    w = {name: np.float64(np.float32(value)) for name, value in weights.items()}
    x = features
    for dense, norm in ((0, 2), (3, 5)):
        x = np.maximum(x @ w[f"layers.{dense}.weight"].T + w[f"layers.{dense}.bias"], 0)
        x = (x - w[f"layers.{norm}.running_mean"]) / np.sqrt(w[f"layers.{norm}.running_var"] + 1e-5)
        x = x * w[f"layers.{norm}.weight"] + w[f"layers.{norm}.bias"]
    return x @ w["layers.6.weight"].T + w["layers.6.bias"]


def resized(maps: Array, size: int) -> Array:
    """Bilinear, pixel centres kept: [C, r, r] -> [C, size, size], written from the definition."""
    small = maps.shape[1]
    place = np.clip((np.arange(size) + 0.5) * small / size - 0.5, 0, small - 1)
    weight = np.maximum(1 - np.abs(place[:, None] - np.arange(small)[None]), 0)  # [size, r]
    return np.einsum("yi,cij,xj->cyx", weight, maps, weight)


@torch.no_grad()
def test_classifiers_see_the_parts_that_they_should(network: Network, snapshot: Path, tmp_path: Path) -> None:
    each = [classifier_weights(seed) for seed in range(11)]
    files = [write_classifier(tmp_path / f"car_model_{i}.pth", w) for i, w in enumerate(each)]
    import_files([snapshot, *files], tmp_path / "cars", parts=["sky", "body", "tyre", "rim", "light"])
    generator = load_generator(tmp_path / "cars" / "generator.safetensors")
    segmenter = load_segmenter(tmp_path / "cars" / "segmenter.safetensors")
    assert (segmenter.config.classifiers, segmenter.config.widths, segmenter.config.parts) == (
        11,
        WIDTHS,
        PARTS,
    )

    w_plus = np.random.default_rng(3).standard_normal((network.num_ws, network.w_dim))
    noise = {n.removesuffix(".noise_const"): v for n, v in network.weights.items() if "noise_const" in n}
    _, features = synthesise(network.weights, w_plus, 16, noise)
    rows = np.concatenate([resized(maps, 16) for maps in features]).reshape(-1, 256).T  # [P, C]
    expected = np.mean([expected_logits(weights, rows) for weights in each], axis=0)
    got = segmenter.logits(generator.synthesise(torch.tensor(np.float32(w_plus))[None]).features)
    np.testing.assert_allclose(
        got[0].permute(1, 2, 0).reshape(256, PARTS).double().numpy(), expected, rtol=0, atol=1e-3
    )
    # in the order of their numbers: model_10 is the last one
    last = np.float32(each[10]["layers.6.bias"])
    np.testing.assert_array_equal(segmenter.bias3[10].numpy(), last)


def test_the_folder_is_a_model(snapshot: Path, tmp_path: Path, tiny_folder: Path) -> None:
    classifier = write_classifier(tmp_path / "model_0.pth", classifier_weights(0))
    vector = tmp_path / "Bigger Wheels.npy"
    np.save(vector, np.ones((1, 6, 10), np.float32))
    import_files([snapshot, classifier, vector], tmp_path / "My Cars")
    folder = tmp_path / "My Cars"
    description = read_description(folder)
    assert description["name"] == "my-cars"
    assert description["resolution_px"] == 16
    assert [part["name"] for part in description["parts"]] == [f"part {i}" for i in range(PARTS)]
    assert len({tuple(part["colour"]) for part in description["parts"]}) == PARTS
    assert description["vectors"] == [{"name": "bigger-wheels", "file": "vector-bigger-wheels.safetensors"}]
    assert [each["file"] for each in description["imported"]] == ["snapshot.pkl", "model_0.pth", vector.name]
    assert all(re.fullmatch("[0-9a-f]{64}", each["sha256"]) for each in description["imported"])
    assert {path.name for path in folder.iterdir()} == {
        "generator.safetensors",
        "segmenter.safetensors",
        "vector-bigger-wheels.safetensors",
        "model.json",
        "preview.png",
    }
    with pytest.raises(WeightsError, match="perceptual"):  # which no published file holds
        load_bundle(folder)
    description["files"]["perceptual"] = "perceptual.safetensors"
    (folder / "model.json").write_text(json.dumps(description))
    (folder / "perceptual.safetensors").write_bytes((tiny_folder / "perceptual.safetensors").read_bytes())
    pictures, masks = load_bundle(folder).draw(torch.zeros(1, 6, 10))
    assert (pictures.shape, masks.shape) == ((1, 3, 16, 16), (1, 16, 16))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w: w.update({"layers.0.weight": np.ones((6, 70))}), r"weight1 is \[6, 70\], and \[6, 72\]"),
        (lambda w: w.update({"layers.3.bias": np.ones(5)}), r"bias2 is \[5\], and \[4\] was expected"),
        (lambda w: w.update({"layers.6.weight": np.ones((7, 4)), "layers.6.bias": np.ones(7)}), "weight3 is"),
        (lambda w: w.update({"layers.5.running_var": np.full(4, np.inf)}), "values that are infinite"),
    ],
)
def test_a_classifier_that_does_not_fit(change: object, says: str, snapshot: Path, tmp_path: Path) -> None:
    weights = classifier_weights(1)
    change(weights)
    files = [
        write_classifier(tmp_path / "model_0.pth", classifier_weights(0)),
        write_classifier(tmp_path / "model_1.pth", weights),
    ]
    with pytest.raises(LayoutMismatch, match=says) as refusal:
        import_files([snapshot, *files], tmp_path / "model")
    assert str(refusal.value).startswith("model_1.pth")
    assert not (tmp_path / "model").exists()


def test_a_classifier_of_another_generator_is_refused(snapshot: Path, tmp_path: Path) -> None:
    file = write_classifier(tmp_path / "model_0.pth", classifier_weights(0, Shape(32)))
    with pytest.raises(LayoutMismatch, match=r"generator's features \(72 channels at 16 px\)"):
        import_files([snapshot, file], tmp_path / "model")


def test_a_classifier_needs_its_generator(tmp_path: Path) -> None:
    file = write_classifier(tmp_path / "model_0.pth", classifier_weights(0))
    with pytest.raises(LayoutMismatch, match=r"model_0\.pth is a classifier.*import both together"):
        import_files([file], tmp_path / "model")


def test_names_of_parts_must_fit(snapshot: Path, tmp_path: Path) -> None:
    file = write_classifier(tmp_path / "model_0.pth", classifier_weights(0))
    with pytest.raises(LayoutMismatch, match="2 names of parts are given; the classifiers know 5"):
        import_files([snapshot, file], tmp_path / "model", parts=["sky", "body"])
    with pytest.raises(LayoutMismatch, match="and no classifiers"):
        import_files([snapshot], tmp_path / "model", parts=["sky", "body"])


def test_a_layer_too_many_makes_no_classifier(snapshot: Path, tmp_path: Path) -> None:
    weights = {**classifier_weights(0), "layers.9.weight": np.ones((2, 5)), "layers.9.bias": np.ones(2)}
    file = write_classifier(tmp_path / "model_0.pth", weights)
    with pytest.raises(UnknownFormat, match=r"model_0\.pth holds .* tensors \(.*a pixel classifier"):
        import_files([snapshot, file], tmp_path / "model")


# editing vectors


@pytest.mark.parametrize("shape", [(1, 6, 10), (6, 10)])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_vector_keeps_its_numbers(
    shape: tuple[int, ...], kind: type, order: str, snapshot: Path, tmp_path: Path
) -> None:
    vector = np.random.default_rng(0).standard_normal(shape).astype(kind)
    np.save(tmp_path / "smile.npy", np.array(vector, order=order))
    import_files([snapshot, tmp_path / "smile.npy"], tmp_path / "model")
    with safe_open(tmp_path / "model" / "vector-smile.safetensors", framework="np") as file:
        np.testing.assert_array_equal(file.get_tensor("delta_w"), vector.reshape(6, 10).astype(np.float32))
        assert json.loads(file.metadata()["config"])["kind"] == "editing vector"


def test_vectors_alone_are_written_too(tmp_path: Path) -> None:
    np.save(tmp_path / "smile.npy", np.ones((1, 16, 512), np.float32))
    import_files([tmp_path / "smile.npy"], tmp_path / "vectors")
    names = {path.name for path in (tmp_path / "vectors").iterdir()}
    assert names == {"vector-smile.safetensors", "imported.json"}


@pytest.mark.parametrize(
    ("vector", "says"),
    [
        (np.ones((1, 8, 10)), r"is \[1, 8, 10\] .*; the generator's vectors are \[1, 6, 10\]"),
        (np.ones((2, 6, 10)), r"\[1, L, D\] with an even number"),
        (np.ones((1, 5, 10)), r"\[1, L, D\] with an even number"),
        (np.ones((6, 10), np.int32), r"torch.int32; \[1, L, D\]"),
        (np.full((1, 6, 10), np.nan), "values that are infinite or no numbers"),
        (np.array([None, "x"], dtype=object), "holds '|O'"),
        (np.ones((1, 6, 10), ">f4"), "holds '>f4'; little-endian"),
        (np.ones((1, 6, 10), "c8"), "holds '<c8'"),
        (np.zeros(3, [("a", "f4"), ("b", "i4")]), "one array of plain numbers was expected"),
    ],
)
def test_a_vector_that_does_not_fit(vector: np.ndarray, says: str, snapshot: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "smile.npy", vector, allow_pickle=True)
    with pytest.raises(LayoutMismatch, match=says):
        import_files([snapshot, tmp_path / "smile.npy"], tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_two_vectors_of_one_name(tmp_path: Path) -> None:
    for name in ("Smile.npy", "smile.npy"):
        np.save(tmp_path / name, np.ones((1, 6, 10), np.float32))
    with pytest.raises(LayoutMismatch, match="two editing vectors are named smile"):
        import_files([tmp_path / "Smile.npy", tmp_path / "smile.npy"], tmp_path / "model")


# the encoder


def test_an_encoder_is_kept_bit_for_bit_and_not_run(snapshot: Path, tmp_path: Path) -> None:
    pyramid = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Linear(8, 10))
    state = OrderedDict((f"module.{name}", tensor) for name, tensor in pyramid.state_dict().items())
    torch.save({"model_state_dict": state, "iterations": 3}, tmp_path / "encoder.pth")
    description = import_files([snapshot, tmp_path / "encoder.pth"], tmp_path / "model")
    assert "encoder" not in description["files"]
    assert "kept, not run" in description["imported"][1]["notes"][0]
    with safe_open(tmp_path / "model" / description["kept"]["encoder"], framework="pt") as file:
        assert set(file.keys()) == set(pyramid.state_dict())
        for name, tensor in pyramid.state_dict().items():
            assert torch.equal(file.get_tensor(name), tensor)
        assert json.loads(file.metadata()["config"])["runs"] is False


# the folder, and the command


def test_only_one_generator(snapshot: Path, tmp_path: Path) -> None:
    other = write_rosinality(tmp_path / "other.pt", rosinality_network(SHAPE))
    with pytest.raises(LayoutMismatch, match=r"snapshot\.pkl and other\.pt are 2 generators"):
        import_files([snapshot, other], tmp_path / "model")


def test_a_folder_that_is_there_is_left_alone(snapshot: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        import_files([snapshot], tmp_path / "model")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["mine.txt"]


def test_the_command(snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vector = tmp_path / "smile.npy"
    np.save(vector, np.ones((1, 6, 10), np.float32))
    assert main([str(snapshot), str(vector), "--to", str(tmp_path / "model"), "--name", "cars-2"]) == 0
    said = capsys.readouterr().out
    assert "snapshot.pkl  persistent" in said
    assert "preview.png" in said
    assert read_description(tmp_path / "model")["name"] == "cars-2"
    assert main([str(snapshot), "--to", str(tmp_path / "model")]) == 1
    assert "is there already" in capsys.readouterr().err


def test_the_command_names_a_refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.pkl").write_bytes(b"\x80\x04cos\nsystem\n.")
    assert main([str(tmp_path / "one.pkl"), "--to", str(tmp_path / "model")]) == 1
    assert capsys.readouterr().err.startswith(
        "refused (forbidden_content): one.pkl: the pickle names 'os.system'"
    )
