"""A caller's own identity network: how pictures are shown to it, what is tried, and its place in a model."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from onnx_files import EMBEDDING, SIZE_PX, Writer, arcface, mobilefacenet, model, random_network, written
from torch import nn

from gpu_ops.bundle import load_bundle, load_identity
from gpu_ops.graph_identity import GraphIdentity, Sight
from gpu_ops.importers import graphs
from gpu_ops.importers.identities import import_identity
from gpu_ops.importers.refusals import LayoutMismatch, LimitExceeded, UnknownFormat, UnsupportedNetwork
from gpu_ops.importers.sandbox import read_checkpoint
from gpu_ops.network_file import save_network

pytestmark = pytest.mark.thorough

SIGHT = Sight(size_px=SIZE_PX)


def given(made: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "given.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def imported(
    made: onnx.ModelProto, folder: Path, sight: Sight = SIGHT
) -> tuple[GraphIdentity, dict[str, Any]]:
    return import_identity(read_checkpoint(given(made, folder)), sight)


def noise(count: int = 3, size: int = SIZE_PX) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_a_picture_is_shown_as_the_caller_says(channels: Any, tmp_path: Path) -> None:
    network = random_network(arcface())
    sight = Sight(SIZE_PX, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), channels)
    identity, figures = imported(written(network), tmp_path, sight)
    x = noise()
    levels = x.double().numpy() / 2 + 0.5  # [N, 3, S, S] of 0 to 1, red first
    seen = (levels - np.reshape(sight.mean, (3, 1, 1))) / np.reshape(sight.std, (3, 1, 1))
    seen = seen[:, ::-1] if channels == "bgr" else seen
    expected = network(torch.tensor(np.ascontiguousarray(seen), dtype=torch.float32))
    torch.testing.assert_close(identity.raw(x), expected, rtol=1e-4, atol=1e-5)
    vectors = identity.embed(x)
    torch.testing.assert_close(vectors, nn.functional.normalize(expected), rtol=1e-4, atol=1e-5)
    assert figures["size"] == EMBEDDING
    assert figures["alone"] is False


@torch.no_grad()
def test_only_the_middle_is_seen_and_any_size_is_resized(tmp_path: Path) -> None:
    identity, _ = imported(written(random_network(arcface())), tmp_path, Sight(SIZE_PX, crop=0.5))
    x = noise(size=2 * SIZE_PX)
    other = x.clone()
    other[..., : SIZE_PX // 2, :] = 0.3
    assert torch.equal(identity.embed(x), identity.embed(other))
    whole = GraphIdentity(identity.graph, SIGHT)
    middle = x[..., SIZE_PX // 2 : -SIZE_PX // 2, SIZE_PX // 2 : -SIZE_PX // 2]
    assert torch.allclose(identity.embed(x), whole.embed(middle), atol=1e-6)
    assert whole.embed(noise(size=100)).shape == (3, EMBEDDING)


def with_fixed_shape() -> onnx.ModelProto:
    """As exporters write it that were shown one picture: the last shape holds the number of pictures."""
    writer = Writer()
    maps = writer.write(random_network(arcface())[:7], "x")
    flat = writer.node("Reshape", maps, writer.constant(np.int64([1, 512])))
    weight = torch.randn(512, EMBEDDING, generator=torch.Generator().manual_seed(0)) / 20
    writer.nodes.append(helper.make_node("MatMul", [flat, writer.constant(weight)], ["y"]))
    return model(writer.nodes, writer.constants, shape=[1, 3, SIZE_PX, SIZE_PX], out=[1, EMBEDDING])


def test_a_graph_for_one_picture_is_shown_one_at_a_time(tmp_path: Path) -> None:
    identity, figures = imported(with_fixed_shape(), tmp_path)
    assert (identity.alone, figures["alone"]) == (True, True)
    x = noise().requires_grad_(True)
    vectors = identity.embed(x)
    assert vectors.shape == (3, EMBEDDING)
    assert torch.equal(vectors[1:2], identity.embed(x[1:2]))
    (slope,) = torch.autograd.grad(vectors[1].sum(), x)
    assert bool(slope[1].any())
    assert not bool(slope[0].any())


def test_it_is_written_and_read_as_the_same_network_in_a_model(tmp_path: Path, tiny_folder: Path) -> None:
    sight = Sight(SIZE_PX, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), "bgr", 0.9)
    identity, _ = imported(written(random_network(mobilefacenet())), tmp_path, sight)
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    save_network(folder / "identity.safetensors", identity, identity.as_dict())
    description = json.loads((folder / "model.json").read_text())
    description["files"]["identity"] = "identity.safetensors"
    (folder / "model.json").write_text(json.dumps(description))
    kept = load_bundle(folder).identity
    assert isinstance(kept, GraphIdentity)
    assert kept.sight == sight
    assert not any(parameter.requires_grad for parameter in kept.parameters())
    for name, weights in identity.state_dict().items():
        assert torch.equal(kept.state_dict()[name], weights)
    # not to the bit: where the weights lie in memory, some processors' sums hang on that
    torch.testing.assert_close(kept.embed(noise()), identity.embed(noise()), rtol=1e-5, atol=1e-6)
    assert isinstance(load_identity(folder / "identity.safetensors"), GraphIdentity)


def small(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], **about: Any) -> onnx.ModelProto:
    return model(nodes, {"c": np.ones(1, np.float32), **constants}, **about)


def chain(*steps: tuple[Any, ...], **about: Any) -> onnx.ModelProto:
    """Nodes one after the other, (op, constants ..., attributes)."""
    writer, x = Writer(), "x"
    for op, *inputs, attributes in steps:
        x = writer.node(op, x, *(writer.constant(each) for each in inputs), **attributes)
    writer.nodes.append(helper.make_node("Identity", [x], ["y"]))
    return small(writer.nodes, writer.constants, **about)


POOL, FLAT = ("GlobalAveragePool", {}), ("Flatten", {})
WIDE = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("made", "error", "says"),
    [
        (chain(POOL, FLAT, shape=[1, 3, 112, 112]), LayoutMismatch, r"the input is \[1, 3, 112, 112\]"),
        (chain(POOL, FLAT, shape=[1, 32, 32, 3]), LayoutMismatch, "channels last"),
        (chain(POOL, FLAT, shape=["N", 1, 32, 32]), LayoutMismatch, "number of channels"),
        (chain(POOL, FLAT, shape=[3]), UnsupportedNetwork, r"the input is \[3\]"),
        (chain(("Flatten", {}), ("ReduceMean", {"axes": [1]})), LayoutMismatch, "becomes 1 numbers"),
        (chain(("Mul", np.float32([1e30]), {}), ("Mul", np.float32([1e30]), {}), POOL, FLAT),
         LayoutMismatch, "infinite"),
        (chain(("Mul", np.float32([0]), {}), ("Add", np.float32([1]), {}), POOL, FLAT),
         LayoutMismatch, "the same vector"),
        (chain(("Mul", np.float32([0]), {}), POOL, FLAT), LayoutMismatch, "the same vector"),
        (chain(("Conv", WIDE[:, :2], {}), POOL, FLAT), LayoutMismatch, "does not fit a picture of 32 px"),
        (chain(("Reshape", np.int64([0, 7, -1]), {}), FLAT), LayoutMismatch, "not fit a picture of 32 px"),
        (chain(("Transpose", {"perm": [0, 1, 1, 3]}), FLAT), LayoutMismatch, "does not fit a picture"),
        (chain(("Transpose", {"perm": [0, 1, 2, 9]}), FLAT), LayoutMismatch, "does not fit a picture"),
        (chain(("Concat", {"axis": 9}), FLAT), LayoutMismatch, "does not fit a picture"),
        (chain(("Squeeze", np.int64([9]), {}), FLAT), LayoutMismatch, "does not fit a picture"),
        (chain(("Unsqueeze", np.int64([0] * 2), {}), FLAT), LayoutMismatch, "each once was expected"),
        (chain(("Pad", np.int64([0, 0, 1]), {}), FLAT), LayoutMismatch, "does not fit a picture"),
        (chain(("Pad", np.int64([0] * 7 + [10**9]), {}), FLAT), LimitExceeded, "512 at most"),
        (chain(("MaxPool", {"kernel_shape": [2, 2], "pads": [5, 5, 5, 5]}), FLAT), LayoutMismatch, "pads"),
        (chain(("MaxPool", {"kernel_shape": [9999, 1]}), FLAT), LimitExceeded, "512 at most"),
        (chain(("MaxPool", {"kernel_shape": [0, 0]}), FLAT), LayoutMismatch, "kernel"),
        (chain(("MaxPool", {}), FLAT), UnsupportedNetwork, "a window of None"),
        (chain(("Conv", WIDE, {"strides": [0, 1]}), FLAT), LayoutMismatch, "strides"),
        (chain(("Conv", WIDE, {"group": 0}), FLAT), LayoutMismatch, "in 0 groups"),
        (chain(("Conv", WIDE, {"group": -2}), FLAT), LayoutMismatch, "in -2 groups"),
        (chain(("Conv", WIDE[0], {}), FLAT), UnsupportedNetwork, r"weights \[3, 3, 3\]"),
        (chain(("Conv", WIDE.astype(np.int32), {}), FLAT), LayoutMismatch, r"of kind torch\.int32"),
        (chain(("Conv", WIDE, {"auto_pad": "NOWHERE"}), FLAT), UnsupportedNetwork, "auto_pad 'NOWHERE'"),
        (chain(("Dropout", np.float32(0.5), np.bool_(True), {}), FLAT), UnsupportedNetwork, "training mode"),
        (chain(("BatchNormalization", *[np.float32([1] * 3)] * 4, {"training_mode": 1}), FLAT),
         UnsupportedNetwork, "training mode"),
        (chain(("Reshape", np.float32([1.0]), {}), FLAT), LayoutMismatch, "is told shape by a tensor"),
        (chain(("Clip", np.float32([1, 2]), {}), FLAT), LayoutMismatch, "by 2 numbers; one was expected"),
        (chain(("Relu", {}), ("Sqrt", {}), ("Mul", np.float32([0]), {}), FLAT), LayoutMismatch, "the same"),
    ],
)  # fmt: skip
def test_what_is_no_network_of_faces_is_refused(
    made: onnx.ModelProto, error: type, says: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        imported(made, tmp_path)


def test_a_distance_without_a_slope_is_refused(tmp_path: Path) -> None:
    """A step has none anywhere."""
    steps = [("HardSigmoid", {"alpha": 1e30, "beta": 0.5}), ("AveragePool", {"kernel_shape": [32, 32]}), FLAT]
    with pytest.raises(LayoutMismatch, match="has no slope"):
        imported(chain(*steps), tmp_path)


def doubling(times: int) -> onnx.ModelProto:
    """A picture beside itself, again and again: few bytes, and 3,072 * 2^times numbers."""
    writer, x = Writer(), "x"
    for _ in range(times):
        x = writer.node("Concat", x, x, axis=1)
    writer.nodes.append(helper.make_node("Flatten", [x], ["y"]))
    return small(writer.nodes, writer.constants)


def outer(columns: int) -> onnx.ModelProto:
    """A column times a row: 3,072 * 3,072 numbers, times so many of each."""
    writer = Writer()
    column = writer.node("Reshape", "x", writer.constant(np.int64([-1, 1])))
    row = writer.node("Reshape", "x", writer.constant(np.int64([1, -1])))
    for _ in range(columns):
        column = writer.node("Concat", column, column, axis=0)
    writer.nodes.append(helper.make_node("MatMul", [column, row], ["y"]))
    return small(writer.nodes, writer.constants)


def heavy() -> onnx.ModelProto:
    """Windows of 31 x 31 over maps of 32 channels: 10^9 multiplications a layer, 60 layers."""
    writer = Writer()
    x = writer.node("Conv", "x", writer.constant(np.ones((32, 3, 1, 1), np.float32)))
    weight = writer.constant(np.ones((32, 32, 31, 31), np.float32) / 30752)
    for _ in range(60):
        x = writer.node("Conv", x, weight, pads=[15] * 4)
    writer.nodes.append(helper.make_node("Flatten", [x], ["y"]))
    return small(writer.nodes, writer.constants)


@pytest.mark.parametrize(
    "made", [doubling(20), doubling(200), outer(5), outer(60)], ids=["20", "200", "outer 5", "outer 60"]
)
def test_a_small_file_cannot_ask_for_much_memory(
    made: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found before anything is computed: the trial is not come to."""
    monkeypatch.setattr("gpu_ops.importers.identities._vectors", lambda *_: pytest.fail("it was run"))
    with pytest.raises((LimitExceeded, LayoutMismatch)):
        imported(made, tmp_path)


def powers(times: int) -> onnx.ModelProto:
    """For one picture 3^2^times numbers, for two 6^2^times, from their means."""
    writer = Writer()
    mean = writer.node("Add", writer.node("GlobalAveragePool", "x"), writer.constant(np.float32([1])))
    x = writer.node("Reshape", mean, writer.constant(np.int64([1, -1])))
    for _ in range(times):
        turned = writer.node("Reshape", x, writer.constant(np.int64([-1, 1])))
        product = writer.node("MatMul", turned, x)
        x = writer.node("Reshape", product, writer.constant(np.int64([1, -1])))
    writer.nodes.append(helper.make_node("ReduceMean", [x], ["/sum"], axes=[1]))
    flat = writer.node("Flatten", "x")
    writer.nodes.append(helper.make_node("Mul", [flat, "/sum"], ["y"]))
    return small(writer.nodes, writer.constants)


def test_several_pictures_at_once_are_not_tried_where_that_would_cost_more_than_each(tmp_path: Path) -> None:
    """3^16 numbers for one picture are allowed, 6^16 for two are more than there is memory for."""
    identity, figures = imported(powers(4), tmp_path)
    assert identity.alone
    assert 3**16 < figures["values"] < 3 * 3**16


def test_a_file_cannot_ask_for_much_computing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_ops.importers.identities._vectors", lambda *_: pytest.fail("it was run"))
    with pytest.raises(LimitExceeded, match="multiplications"):
        imported(heavy(), tmp_path)


def test_the_cost_of_a_picture_is_counted(tmp_path: Path) -> None:
    graph = imported(chain(("Conv", WIDE, {"pads": [1] * 4}), ("Relu", {}), POOL, FLAT), tmp_path)[0].graph
    cost = graphs.check_cost(graph, SIZE_PX)
    maps = 8 * SIZE_PX**2
    assert cost == {"values": 2 * maps + 16, "products": maps * 27 + maps + 16}


def test_a_checkpoint_of_another_kind_is_no_network(tmp_path: Path) -> None:
    np.save(tmp_path / "given.npy", np.ones((2, 2), np.float32))
    with pytest.raises(UnknownFormat, match=r"an \.onnx file was expected"):
        import_identity(read_checkpoint(tmp_path / "given.npy"), SIGHT)
