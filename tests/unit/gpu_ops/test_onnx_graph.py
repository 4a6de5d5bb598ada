"""The graph interpreter against three others: torch's modules, onnx's reference, and finite differences."""

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnx_files import EMBEDDING, SIZE_PX, Writer, arcface, mobilefacenet, model, random_network, written

from gpu_ops.importers.graphs import import_graph
from gpu_ops.importers.sandbox import read_checkpoint
from gpu_ops.onnx_graph import OPERATIONS, Node, OnnxGraph
from gpu_ops.onnx_operators import OPERATORS

NETWORKS = {"arcface": arcface, "mobilefacenet": mobilefacenet}


def imported(made: onnx.ModelProto, folder: Path) -> OnnxGraph:
    path = folder / "given.onnx"
    path.write_bytes(made.SerializeToString())
    return import_graph(read_checkpoint(path))


def pictures(count: int = 2, size: int = SIZE_PX, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_makes_what_it_makes_as_torch_modules(name: str, tmp_path: Path) -> None:
    network = random_network(NETWORKS[name]())
    made = written(network)
    onnx.checker.check_model(made)
    graph, x = imported(made, tmp_path), pictures()
    expected = network(x)
    assert expected.shape == (2, EMBEDDING)
    assert expected.std() > 0.1
    torch.testing.assert_close(graph(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_its_slope_is_that_of_the_torch_modules_and_of_finite_differences(name: str, tmp_path: Path) -> None:
    network = random_network(NETWORKS[name]()).double()
    graph = imported(written(network.float()), tmp_path).double()
    network.double()
    weigh = torch.randn(EMBEDDING, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x = pictures(1).double().requires_grad_(True)
    (mine,) = torch.autograd.grad((graph(x) @ weigh).sum(), x)
    (torchs,) = torch.autograd.grad((network(x) @ weigh).sum(), x)
    torch.testing.assert_close(mine, torchs, rtol=1e-9, atol=1e-9)
    step = 1e-6
    for place in ((0, 0, 3, 5), (0, 1, 16, 16), (0, 2, 30, 1)):
        there = torch.zeros_like(x)
        there[place] = step
        with torch.no_grad():
            slope = ((graph(x + there) - graph(x - there)) @ weigh).item() / (2 * step)
        assert abs(slope - mine[place].item()) < 1e-6 * (1 + abs(slope))


def window(**attributes: Any) -> dict[str, Any]:
    return {"kernel_shape": [3, 2], "strides": [2, 3], **attributes}


# op, attributes, constants as inputs (None: left out), operator set, shape of x
CASES: list[tuple[str, dict[str, Any], list[Any], int, tuple[int, ...]]] = [
    *((op, {}, [], 17, (2, 3, 4, 5)) for op in ("Abs", "Neg", "Relu", "Sigmoid", "Tanh", "HardSwish")),
    ("Sqrt", {}, [], 17, (2, 3)),
    *((op, {}, [np.float32([[1.5], [-2], [3]])], 14, (2, 3, 4)) for op in ("Add", "Sub", "Mul", "Div")),
    ("Pow", {}, [np.float32(2)], 17, (2, 3, 4)),
    ("PRelu", {}, [np.float32([[[0.1]], [[0.2]], [[-0.3]]])], 17, (2, 3, 4, 5)),
    ("PRelu", {}, [np.float32([0.3])], 9, (2, 3, 4, 5)),
    ("LeakyRelu", {}, [], 17, (2, 3, 4)),
    ("LeakyRelu", {"alpha": 0.2}, [], 17, (2, 3, 4)),
    ("Elu", {"alpha": 0.7}, [], 17, (2, 3, 4)),
    ("HardSigmoid", {}, [], 17, (2, 3, 4)),
    ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, [], 17, (2, 3, 4)),
    ("Clip", {}, [np.float32(-0.5), np.float32(0.7)], 17, (2, 3, 4)),
    ("Clip", {}, [None, np.float32(0.1)], 17, (2, 3, 4)),
    ("Clip", {"min": -0.2, "max": 0.3}, [], 10, (2, 3, 4)),
    ("BatchNormalization", {"epsilon": 1e-3}, [np.float32([1, 2, -1])] * 3 + [np.float32([1, 2, 3])], 17,
     (2, 3, 4, 5)),
    ("BatchNormalization", {}, [np.float32([1, 2, -1])] * 3 + [np.float32([1, 2, 3])], 15, (2, 3)),
    ("Conv", {"pads": [1, 0, 2, 3], "strides": [2, 1]}, ["weight 4 3 3 2", "weight 4"], 17, (2, 3, 9, 8)),
    ("Conv", {"group": 2, "dilations": [2, 3], "kernel_shape": [3, 2]}, ["weight 6 2 3 2"], 17, (2, 4, 9, 8)),
    ("Conv", {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, ["weight 4 3 3 2"], 17, (2, 3, 9, 8)),
    ("Conv", {"auto_pad": "SAME_LOWER", "strides": [2, 3]}, ["weight 4 3 4 2"], 17, (2, 3, 9, 8)),
    ("Conv", {"auto_pad": "VALID"}, ["weight 4 3 3 2"], 17, (2, 3, 9, 8)),
    ("Gemm", {"alpha": 0.5, "beta": 2.0, "transB": 1}, ["weight 4 3", "weight 4"], 17, (2, 3)),
    ("Gemm", {"transA": 1}, ["weight 2 5"], 17, (2, 3)),
    ("MatMul", {}, ["weight 5 2"], 17, (2, 3, 4, 5)),
    *(("Flatten", {"axis": axis}, [], 17, (2, 3, 4)) for axis in (0, 1, 2, 3, -1)),
    ("Flatten", {}, [], 9, (2, 3, 4)),
    ("Reshape", {}, [np.int64([0, -1])], 17, (2, 3, 4)),
    ("Reshape", {}, [np.int64([4, 0, 2])], 17, (2, 3, 4)),
    ("Transpose", {}, [], 17, (2, 3, 4)),
    ("Transpose", {"perm": [0, 2, 1]}, [], 17, (2, 3, 4)),
    ("GlobalAveragePool", {}, [], 17, (2, 3, 4, 5)),
    ("GlobalMaxPool", {}, [], 17, (2, 3, 4, 5)),
    ("AveragePool", window(), [], 17, (2, 3, 9, 8)),
    ("AveragePool", window(pads=[1, 0, 2, 1]), [], 17, (2, 3, 9, 8)),
    ("AveragePool", window(pads=[1, 1, 0, 1], count_include_pad=1), [], 17, (2, 3, 9, 8)),
    ("AveragePool", window(ceil_mode=1), [], 19, (2, 3, 10, 9)),
    ("AveragePool", window(auto_pad="SAME_UPPER"), [], 17, (2, 3, 9, 8)),
    ("MaxPool", window(), [], 17, (2, 3, 9, 8)),
    ("MaxPool", window(pads=[1, 0, 2, 1]), [], 17, (2, 3, 9, 8)),
    ("MaxPool", window(pads=[1, 1, 1, 1], dilations=[2, 2]), [], 17, (2, 3, 9, 8)),
    ("MaxPool", window(ceil_mode=1), [], 17, (2, 3, 10, 9)),
    ("Pad", {}, [np.int64([0, 0, 1, 2, 0, 1, 0, 3]), np.float32(0.5)], 17, (2, 3, 4, 5)),
    ("Pad", {"mode": "reflect"}, [np.int64([0, 0, 1, 2, 0, 0, 3, 1])], 17, (2, 3, 4, 5)),
    ("Pad", {"mode": "edge"}, [np.int64([0, 0, 1, 2, 0, 0, 3, 1])], 17, (2, 3, 4, 5)),
    ("Pad", {"pads": [0, 0, 0, 1, 0, 0, 2, 0], "value": 0.3}, [], 10, (2, 3, 4, 5)),
    ("Unsqueeze", {}, [np.int64([0, -1])], 17, (2, 3)),
    ("Unsqueeze", {"axes": [1, 2]}, [], 11, (2, 3)),
    ("Squeeze", {}, [np.int64([1, -1])], 17, (2, 1, 3, 1)),
    ("Squeeze", {"axes": [2]}, [], 11, (2, 3, 1)),
    ("Squeeze", {}, [], 17, (2, 1, 3, 1)),
    ("ReduceMean", {"axes": [2, 3], "keepdims": 0}, [], 17, (2, 3, 4, 5)),
    ("ReduceMean", {}, [np.int64([-1])], 18, (2, 3, 4, 5)),
    ("ReduceMean", {}, [], 18, (2, 3, 4)),
    ("ReduceSum", {"keepdims": 1}, [np.int64([1])], 17, (2, 3, 4)),
    ("ReduceL2", {"axes": [1]}, [], 17, (2, 3, 4)),
    ("LpNormalization", {}, [], 17, (2, 5)),
    ("LpNormalization", {"axis": 1, "p": 2}, [], 17, (2, 5, 3)),
    ("Identity", {}, [], 17, (2, 3)),
    ("Dropout", {}, [], 17, (2, 3)),
    ("Dropout", {"ratio": 0.3}, [], 10, (2, 3)),
]  # fmt: skip


def one_node(
    op: str, attributes: dict[str, Any], inputs: list[Any], opset: int, shape: tuple[int, ...]
) -> onnx.ModelProto:
    writer, dice = Writer(), np.random.default_rng(3)
    given = []
    for each in inputs:
        if isinstance(each, str):
            each = dice.standard_normal([int(size) for size in each.split()[1:]]).astype(np.float32)
        given.append("" if each is None else writer.constant(each))
    node = helper.make_node(op, ["x", *given], ["y"], **attributes)
    writer.constant(np.zeros(1, np.float32))  # a file without any numbers is no network
    return model([node], writer.constants, shape=shape, out=[None], opset=opset)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("op", "attributes", "inputs", "opset", "shape"), CASES, ids=[f"{c[0]} {n}" for n, c in enumerate(CASES)]
)
@torch.no_grad()
def test_every_operator_does_what_onnx_says_that_it_does(
    op: str, attributes: dict[str, Any], inputs: list[Any], opset: int, shape: tuple[int, ...], tmp_path: Path
) -> None:
    made = one_node(op, attributes, inputs, opset, shape)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    x = np.abs(x) if op == "Sqrt" else x
    (expected,) = ReferenceEvaluator(made).run(None, {"x": x})
    found = imported(made, tmp_path)(torch.from_numpy(x))
    assert tuple(found.shape) == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_where_the_reference_leaves_the_specification_this_does_not(tmp_path: Path) -> None:
    """Of onnx 1.23: norms of p = 1 take no absolute values, a normalisation of version 9 mixes the batch's
    own mean in, the largest of a window knows no SAME_LOWER, and padding cannot be negative."""
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 9, 8)).astype(np.float32))

    def found(op: str, inputs: list[Any], opset: int, **attributes: Any) -> torch.Tensor:
        return imported(one_node(op, attributes, inputs, opset, (2, 3, 9, 8)), tmp_path)(x)

    each = [np.float32([1, 2, -1]), np.float32([0, 1, 2]), np.float32([1, 0, 2]), np.float32([1, 2, 3])]
    scale, bias, mean, variance = (torch.from_numpy(one).reshape(3, 1, 1) for one in each)
    torch.testing.assert_close(
        found("BatchNormalization", each, 9), scale * (x - mean) / (variance + 1e-5).sqrt() + bias
    )
    torch.testing.assert_close(
        found("LpNormalization", [], 17, p=1, axis=1), x / x.abs().sum(dim=1, keepdim=True)
    )
    same = found("MaxPool", [], 17, **window(auto_pad="SAME_LOWER"))
    assert same.shape == (2, 3, 5, 3)
    assert torch.equal(same, found("MaxPool", [], 17, **window(pads=[1, 0, 1, 0])))
    assert torch.equal(found("Pad", [], 10, pads=[0, 0, 0, 0, 0, 0, -1, -2]), x[:, :, :8, :6])


@torch.no_grad()
def test_slopes_in_a_row_are_of_channels_where_they_fit_nothing_else(tmp_path: Path) -> None:
    """Some published networks have them so, which the specification would refuse."""
    x = pictures()
    slope = np.float32([0.1, 0.2, -0.3])
    found = imported(one_node("PRelu", {}, [slope], 9, (2, 3, SIZE_PX, SIZE_PX)), tmp_path)(x)
    assert torch.equal(found, torch.nn.functional.prelu(x, torch.from_numpy(slope)))


@torch.no_grad()
def test_constants_are_values_whatever_way_they_are_written(tmp_path: Path) -> None:
    """As an initialiser, a node, numbers in a row, of half precision, and by another name."""
    writer, x = Writer(), pictures()
    weight = np.random.default_rng(0).standard_normal((4, 3, 1, 1)).astype(np.float16)
    named = writer.node("Identity", writer.constant(weight))
    first = writer.node("Conv", "x", named)
    typed = helper.make_tensor("t", onnx.TensorProto.FLOAT, [4, 1, 1], [1.0, 2.0, 3.0, 4.0])
    second = writer.node("Mul", first, writer.node("Constant", value=typed))
    third = writer.node("Add", second, writer.node("Constant", value_float=0.5))
    shape = writer.node("Constant", value_ints=[0, 2, -1])
    fourth = writer.node("Reshape", third, shape)
    whole = helper.make_tensor("a", onnx.TensorProto.INT64, [1], [2])
    mean = writer.node("ReduceMean", fourth, writer.node("Constant", value=whole), keepdims=0)
    writer.nodes.append(helper.make_node("Concat", [mean, mean, mean], ["y"], axis=-1))
    graph = imported(model(writer.nodes, writer.constants, opset=18), tmp_path)
    maps = torch.nn.functional.conv2d(x, torch.from_numpy(weight).float())
    maps = maps * torch.tensor([1.0, 2, 3, 4]).reshape(4, 1, 1) + 0.5
    expected = maps.reshape(2, 2, -1).mean(dim=2).repeat(1, 3)
    torch.testing.assert_close(graph(x), expected, rtol=1e-5, atol=1e-5)


def test_values_are_let_go_of_once_nobody_reads_them(tmp_path: Path) -> None:
    graph = imported(written(random_network(arcface())), tmp_path)
    held: list[int] = []
    alive: list[weakref.ref[torch.Tensor]] = []

    def watch(node: Node, read: list[torch.Tensor], made: torch.Tensor) -> None:
        alive.append(weakref.ref(made))
        held.append(sum(each() is not None for each in alive))

    with torch.no_grad():
        graph(pictures(1), watch)
    assert len(held) == len(graph.nodes) > 20
    assert max(held) <= 3


def test_no_operator_is_left_out_here() -> None:
    tried = {case[0] for case in CASES}
    assert tried | {"Concat", "Constant"} == OPERATORS.keys()
    assert OPERATIONS.keys() == OPERATORS.keys() - {"Constant", "Dropout"}
