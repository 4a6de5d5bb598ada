"""ONNX files written by the onnx package, which no other code here uses: networks of faces in small, and the
same networks as torch modules."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

SIZE_PX, EMBEDDING = 32, 12


def model(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    *,
    shape: Sequence[Any] = ("N", 3, SIZE_PX, SIZE_PX),
    out: Sequence[Any] = ("N", EMBEDDING),
    opset: int = 17,
    kind: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A graph from "x" to "y"."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, out)],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


class Writer:
    """Turns torch modules into nodes, one by one, by what their documentation says that they do."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"/{op.lower()}::{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def constant(self, value: Any) -> str:
        name = f"onnx::const:{len(self.constants)}"
        array = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        self.constants[name] = array
        return name

    def write(self, module: nn.Module, x: str) -> str:
        match module:
            case nn.Sequential():
                for each in module:
                    x = self.write(each, x)
                return x
            case Residual():
                body, way = self.write(module.body, x), self.write(module.way, x)
                return self.node("Add", body, way)
            case Squeezed():
                scale = self.write(module.scale, x)
                return self.node("Mul", x, scale)
            case nn.Conv2d():
                given = [x, self.constant(module.weight)]
                given += [] if module.bias is None else [self.constant(module.bias)]
                top, left = module.padding
                return self.node(
                    "Conv", *given, kernel_shape=list(module.kernel_size), strides=list(module.stride),
                    pads=[top, left, top, left], dilations=list(module.dilation), group=module.groups,
                )  # fmt: skip
            case nn.BatchNorm2d() | nn.BatchNorm1d():
                four = (module.weight, module.bias, module.running_mean, module.running_var)
                given = [self.constant(each) for each in four]
                return self.node("BatchNormalization", x, *given, epsilon=module.eps)
            case nn.PReLU():
                return self.node("PRelu", x, self.constant(module.weight.reshape(-1, 1, 1)))
            case nn.Linear():
                return self.node(
                    "Gemm", x, self.constant(module.weight), self.constant(module.bias), transB=1
                )
            case nn.Flatten():
                return self.node("Flatten", x, axis=1)
            case nn.Dropout():
                return self.node("Dropout", x, self.constant(np.float32(0.4)))
            case nn.ReLU():
                return self.node("Relu", x)
            case nn.ReLU6():
                return self.node("Clip", x, self.constant(np.float32(0)), self.constant(np.float32(6)))
            case nn.Hardswish():
                return self.node("HardSwish", x)
            case nn.Hardsigmoid():
                return self.node("HardSigmoid", x, alpha=1 / 6, beta=0.5)
            case nn.AdaptiveAvgPool2d():
                return self.node("GlobalAveragePool", x)
            case nn.MaxPool2d():
                k, s, p = module.kernel_size, module.stride, module.padding
                return self.node("MaxPool", x, kernel_shape=[k, k], strides=[s, s], pads=[p] * 4)
            case nn.Identity():
                return self.node("Identity", x)
        raise AssertionError(f"no nodes are known for {type(module).__name__}")


class Residual(nn.Module):
    def __init__(self, body: nn.Module, way: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.way = body, way or nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + self.way(x)


class Squeezed(nn.Module):
    """Channels weighed by what a small network sees of all places."""

    def __init__(self, scale: nn.Module) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale(x)


def _residual_block(inputs: int, outputs: int, stride: int) -> nn.Module:
    """As IResNet has them: normalised first, PReLU within."""
    body = nn.Sequential(
        nn.BatchNorm2d(inputs),
        nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.PReLU(outputs),
        nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
    )
    way = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    return Residual(body, way if stride > 1 or inputs != outputs else None)


def arcface() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 1, 1, bias=False),
        nn.BatchNorm2d(6),
        nn.PReLU(6),
        _residual_block(6, 6, 2),
        _residual_block(6, 8, 2),
        _residual_block(8, 8, 1),
        nn.BatchNorm2d(8),
        nn.Dropout(0.4),
        nn.Flatten(),
        nn.Linear(8 * 8 * 8, EMBEDDING),
        nn.BatchNorm1d(EMBEDDING),
    )


def mobilefacenet() -> nn.Sequential:
    """Depthwise convolutions, the last one over the whole map, as it replaces an average."""
    squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 1),
                            nn.Hardsigmoid())  # fmt: skip
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.ReLU6(),
        Residual(
            nn.Sequential(nn.Conv2d(8, 8, 3, 1, 2, dilation=2, groups=8), nn.Hardswish(), Squeezed(squeeze))
        ),
        nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(8, 8, 8, 1, 0, groups=8),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, EMBEDDING, 1),
        nn.Flatten(),
    )


def random_network(network: nn.Sequential, seed: int = 0) -> nn.Sequential:
    """In evaluation mode, all its numbers drawn anew, its running averages too."""
    dice = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            drawn = torch.randn(tensor.shape, generator=dice)
            fan = max(1, tensor[0].numel()) if tensor.dim() > 1 else 1
            tensor.copy_(drawn.abs() + 0.5 if name.endswith("running_var") else drawn / fan**0.5)
    return network.eval()


def written(network: nn.Module, **about: Any) -> onnx.ModelProto:
    """The network as an ONNX model."""
    writer = Writer()
    last = writer.write(network, "x")
    writer.nodes.append(helper.make_node("Identity", [last], ["y"]))
    return model(writer.nodes, writer.constants, **about)
