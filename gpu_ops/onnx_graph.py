"""A network as a graph of plain operators, which this project runs and differentiates by itself.

Nothing of the file that it came from is executed: its operators are names, and the table below says what each
does. What depends on the version of the operator set was settled when the file was imported
(gpu_ops/importers/graphs.py).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gpu_ops.onnx_windows import average_pool, convolve, max_pool, pad

Settings = Mapping[str, Any]
Operate = Callable[[list[torch.Tensor], Settings], torch.Tensor]
Watch = Callable[["Node", list[torch.Tensor], torch.Tensor], None]


@dataclass(frozen=True)
class Node:
    """One operator: values are numbered, those that it reads and the one that it makes."""

    op: str
    inputs: tuple[int, ...]
    output: int
    settings: dict[str, Any]


class OnnxGraph(nn.Module):
    """forward: the one input, float [N, 3, S, S] -> the one output, of whatever shape the graph makes.

    constants  by the number of their value
    Raises ValueError for an operator that is not known, or a value that nothing makes.
    """

    def __init__(
        self, nodes: Sequence[Node], constants: Mapping[int, torch.Tensor], input: int, output: int
    ) -> None:
        super().__init__()
        self.nodes, self.input, self.output = tuple(nodes), input, output
        made = {input, *constants}
        for node in nodes:
            if node.op not in OPERATIONS or not made.issuperset(node.inputs) or node.output in made:
                raise ValueError(f"the graph is not sound at {node.op}")
            made.add(node.output)
        if output not in made:
            raise ValueError("nothing makes the graph's output")
        self._constants = tuple(sorted(constants))
        for number in self._constants:
            self.register_buffer(f"v{number}", constants[number])
        self._uses = Counter(number for node in nodes for number in node.inputs)

    def forward(self, x: torch.Tensor, watch: Watch | None = None) -> torch.Tensor:
        """`watch` is told of every node with what it read and made."""
        values = {number: getattr(self, f"v{number}") for number in self._constants}
        values[self.input] = x
        left = self._uses.copy()
        for node in self.nodes:
            read = [values[number] for number in node.inputs]
            values[node.output] = OPERATIONS[node.op](read, node.settings)
            if watch is not None:
                watch(node, read, values[node.output])
            for number in node.inputs:  # what nobody reads any more need not be held
                left[number] -= 1
                if not left[number] and number != self.output:
                    values.pop(number, None)
        found: torch.Tensor = values[self.output]
        return found

    def as_dict(self) -> dict[str, Any]:
        """All but the constants, as JSON can say it."""
        nodes = [[node.op, list(node.inputs), node.output, node.settings] for node in self.nodes]
        return {"nodes": nodes, "input": self.input, "output": self.output}


def graph_of(about: Mapping[str, Any], constants: Mapping[str, torch.Tensor]) -> OnnxGraph:
    """The graph that as_dict told of; constants as its state_dict names them."""
    nodes = [Node(op, tuple(inputs), output, settings) for op, inputs, output, settings in about["nodes"]]
    numbered = {int(name.removeprefix("v")): tensor for name, tensor in constants.items()}
    return OnnxGraph(nodes, numbered, about["input"], about["output"])


def _one(function: Callable[[torch.Tensor], torch.Tensor]) -> Operate:
    return lambda read, _: function(read[0])


def _two(function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Operate:
    return lambda read, _: function(read[0], read[1])


def _batch_norm(read: list[torch.Tensor], settings: Settings) -> torch.Tensor:
    x, scale, bias, mean, variance = read
    found = torch.nn.functional.batch_norm(x, mean, variance, scale, bias, eps=settings["epsilon"])
    return found


def _prelu(read: list[torch.Tensor], _: Settings) -> torch.Tensor:
    x, slope = read
    if slope.dim() == 1 and x.dim() > 2 and len(slope) == x.shape[1] != x.shape[-1]:
        slope = slope.reshape(-1, *[1] * (x.dim() - 2))  # one for each channel, as some writers have it
    return torch.where(x < 0, slope * x, x)


def _clip(read: list[torch.Tensor], settings: Settings) -> torch.Tensor:
    least, most = settings["min"], settings["max"]
    return read[0] if least is None and most is None else read[0].clamp(least, most)


def _gemm(read: list[torch.Tensor], settings: Settings) -> torch.Tensor:
    a, b = read[:2]
    a, b = a.T if settings["transA"] else a, b.T if settings["transB"] else b
    product = settings["alpha"] * (a @ b)
    sums: torch.Tensor = product + settings["beta"] * read[2] if len(read) > 2 else product
    return sums


def _flatten(read: list[torch.Tensor], settings: Settings) -> torch.Tensor:
    x, axis = read[0], settings["axis"]
    first = x.shape[: axis if axis >= 0 else x.dim() + axis]
    return x.reshape(first.numel(), -1)


def _reshape(read: list[torch.Tensor], settings: Settings) -> torch.Tensor:
    x = read[0]
    keep = not settings["allowzero"]
    shape = [x.shape[at] if size == 0 and keep else size for at, size in enumerate(settings["shape"])]
    return x.reshape(shape)


def _unsqueeze(read: list[torch.Tensor], settings: Settings) -> torch.Tensor:
    x, axes = read[0], settings["axes"]
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _squeeze(read: list[torch.Tensor], settings: Settings) -> torch.Tensor:
    axes = settings["axes"]
    return read[0].squeeze() if axes is None else read[0].squeeze(tuple(axes))


def _reduced(function: Callable[..., torch.Tensor]) -> Operate:
    def reduce(read: list[torch.Tensor], settings: Settings) -> torch.Tensor:
        x, axes = read[0], settings["axes"]
        axes = tuple(range(x.dim())) if axes is None else tuple(axes)
        found: torch.Tensor = function(x, axes, bool(settings["keepdims"]))
        return found

    return reduce


def _l2(x: torch.Tensor, axes: tuple[int, ...], keepdims: bool) -> torch.Tensor:
    length: torch.Tensor = torch.linalg.vector_norm(x, 2, axes, keepdims)
    return length


def _lp_normalise(read: list[torch.Tensor], settings: Settings) -> torch.Tensor:
    length = torch.linalg.vector_norm(read[0], settings["p"], settings["axis"], keepdim=True)
    return read[0] / torch.where(length == 0, 1.0, length)  # a row of zeros stays one


def _transpose(read: list[torch.Tensor], settings: Settings) -> torch.Tensor:
    axes = settings["perm"]
    return read[0].permute(tuple(reversed(range(read[0].dim()))) if axes is None else axes)


def _spread(function: Callable[..., torch.Tensor]) -> Operate:
    """Over all places of a map [N, C, H, W]."""
    return lambda read, _: function(read[0], tuple(range(2, read[0].dim())), True)


OPERATIONS: dict[str, Operate] = {
    "Abs": _one(torch.abs),
    "Add": _two(torch.add),
    "AveragePool": lambda read, settings: average_pool(read[0], settings),
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Concat": lambda read, settings: torch.cat(read, settings["axis"]),
    "Conv": lambda read, settings: convolve(read, settings),
    "Div": _two(torch.div),
    "Elu": lambda read, settings: torch.nn.functional.elu(read[0], settings["alpha"]),
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": _spread(torch.mean),
    "GlobalMaxPool": _spread(torch.amax),
    "HardSigmoid": lambda read, s: (s["alpha"] * read[0] + s["beta"]).clamp(0, 1),
    "HardSwish": lambda read, _: read[0] * (read[0] / 6 + 0.5).clamp(0, 1),
    "Identity": lambda read, _: read[0],
    "LeakyRelu": lambda read, settings: torch.nn.functional.leaky_relu(read[0], settings["alpha"]),
    "LpNormalization": _lp_normalise,
    "MatMul": _two(torch.matmul),
    "MaxPool": lambda read, settings: max_pool(read[0], settings),
    "Mul": _two(torch.mul),
    "Neg": _one(torch.neg),
    "PRelu": _prelu,
    "Pad": lambda read, settings: pad(read[0], settings),
    "Pow": _two(torch.pow),
    "ReduceL2": _reduced(_l2),
    "ReduceMean": _reduced(torch.mean),
    "ReduceSum": _reduced(torch.sum),
    "Relu": _one(torch.relu),
    "Reshape": _reshape,
    "Sigmoid": _one(torch.sigmoid),
    "Sqrt": _one(torch.sqrt),
    "Squeeze": _squeeze,
    "Sub": _two(torch.sub),
    "Tanh": _one(torch.tanh),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
