"""ONNX files: a graph of known operators, and its constants as tensors. Names become numbers: nothing else
that the file says is passed on.
"""

from dataclasses import dataclass, field
from typing import Any

from gpu_ops.importers.reader.contents import Contents
from gpu_ops.importers.reader.machine import Steps
from gpu_ops.importers.reader.onnx_attributes import constant_of, read_attribute
from gpu_ops.importers.reader.onnx_tensor import read_tensor
from gpu_ops.importers.reader.protobuf import Field, fields
from gpu_ops.importers.reader.tensors import Tensor
from gpu_ops.importers.refusals import (
    DamagedFile,
    LimitExceeded,
    UnsupportedNetwork,
    shown,
)
from gpu_ops.onnx_operators import DOMAINS, NEWEST, OLDEST, OPERATORS

ONNX_START = b"\x08"  # ir_version, which is the first field
MOST_NODES = 5_000
_MOST_DIMENSIONS = 8
_FLOAT = 1  # the kind of numbers of a picture

_IGNORED_OF_MODEL = frozenset({2, 3, 4, 5, 6, 14})  # who made it, and notes
_REFUSED_OF_MODEL = {20: "training information", 25: "functions of its own", 26: "settings of devices"}
_IGNORED_OF_GRAPH = frozenset({2, 10, 13, 16})  # names, notes, shapes of values within
_REFUSED_OF_GRAPH = {14: "quantisation annotations", 15: "sparse constants"}


@dataclass
class Graph:
    """names: every value's number, by its name in the file."""

    steps: Steps
    contents: Contents = field(default_factory=lambda: Contents("onnx"))
    names: dict[str, int] = field(default_factory=dict)
    constants: set[int] = field(default_factory=set)
    made: set[int] = field(default_factory=set)
    nodes: list[list[Any]] = field(default_factory=list)
    inputs: list[tuple[int, list[int | None]]] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def number(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names))

    def constant(self, name: str, tensor: Tensor) -> None:
        number = self.number(name)
        if number in self.constants or number in self.made:
            raise DamagedFile(f"the value {shown(name)} is made twice")
        self.constants.add(number)
        self.contents.tensors[f"v{number}"] = tensor

    def use(self, name: str) -> int | None:
        """The number of an input; None where an optional one is left out."""
        if not name:
            return None
        number = self.names.get(name)
        if number is None or number not in self.constants | self.made:
            order = "each must be made before it is used, so in no circle"
            raise DamagedFile(f"the value {shown(name)} is used before it is made; {order}")
        return number


def read_onnx(data: memoryview, steps: Steps) -> Contents:
    """The one graph of the file. Raises CheckpointRefused."""
    graph_data: memoryview | None = None
    opset = 0
    for each in fields(data, steps):
        if each.number in _REFUSED_OF_MODEL:
            raise UnsupportedNetwork(
                f"the file has {_REFUSED_OF_MODEL[each.number]}; a plain graph was expected"
            )
        if each.number == 7:
            if graph_data is not None:
                raise DamagedFile("the file has two graphs")
            graph_data = each.data()
        elif each.number == 8:
            opset = max(opset, _opset(each.data(), steps))
        elif each.number != 1 and each.number not in _IGNORED_OF_MODEL:
            raise DamagedFile(f"field {each.number} of the file is none of ONNX's")
    if graph_data is None:
        raise DamagedFile("the file has no graph")
    if not OLDEST <= opset <= NEWEST:
        raise UnsupportedNetwork(f"the operator set is {opset}; {OLDEST} to {NEWEST} were expected")
    graph = Graph(steps)
    _read_graph(graph, graph_data)
    graph.contents.facts = {
        "opset": opset,
        "nodes": graph.nodes,
        "input": graph.inputs[0][0],
        "input_shape": graph.inputs[0][1],
        "output": graph.outputs[0],
    }
    return graph.contents


def _opset(data: memoryview, steps: Steps) -> int:
    """The version of the main domain's operators; 0 for another domain."""
    domain, version = "", 0
    for each in fields(data, steps):
        if each.number == 1:
            domain = each.text()
        elif each.number == 2:
            version = each.whole()
    return version if domain in DOMAINS else 0


def _read_graph(graph: Graph, data: memoryview) -> None:
    """Constants first, then inputs, then nodes in the file's order, which is that of their values."""
    found: dict[int, list[Field]] = {}
    for each in fields(data, graph.steps):
        if each.number in _REFUSED_OF_GRAPH:
            raise UnsupportedNetwork(f"the graph has {_REFUSED_OF_GRAPH[each.number]}")
        if each.number in (1, 5, 11, 12):
            found.setdefault(each.number, []).append(each)
        elif each.number not in _IGNORED_OF_GRAPH:
            raise DamagedFile(f"field {each.number} of the graph is none of ONNX's")
    for each in found.get(5, []):
        name, tensor = read_tensor(each.data(), graph.steps)
        graph.constant(name, tensor)
    for each in found.get(11, []):
        _read_input(graph, each.data())
    if len(graph.inputs) != 1:
        raise UnsupportedNetwork(f"the graph has {len(graph.inputs)} inputs; one picture was expected")
    nodes = found.get(1, [])
    if len(nodes) > MOST_NODES:
        raise LimitExceeded(f"the graph has {len(nodes)} nodes; {MOST_NODES} at most are read")
    for each in nodes:
        _read_node(graph, each.data())
    for each in found.get(12, []):
        name, _, _ = _value_info(each.data(), graph.steps)
        number = graph.names.get(name)
        if number not in graph.made:
            raise DamagedFile(f"the output {shown(name)} is made by no node")
        graph.outputs.append(number)
    if len(graph.outputs) != 1:
        raise UnsupportedNetwork(f"the graph has {len(graph.outputs)} outputs; one was expected")


def _read_input(graph: Graph, data: memoryview) -> None:
    name, kind, shape = _value_info(data, graph.steps)
    number = graph.number(name)
    if number in graph.constants:  # old files name their constants among the inputs
        return
    if number in graph.made:
        raise DamagedFile(f"the graph has two inputs named {shown(name)}")
    if kind != _FLOAT or shape is None:
        raise UnsupportedNetwork(f"the input {shown(name)} is no tensor of 32-bit numbers with a shape")
    graph.made.add(number)
    graph.inputs.append((number, shape))


def _value_info(data: memoryview, steps: Steps) -> tuple[str, int, list[int | None] | None]:
    """Name, kind of numbers and shape, None standing for what is not fixed."""
    name, kind, shape = "", 0, None
    for each in fields(data, steps):
        if each.number == 1:
            name = each.text()
        elif each.number == 2:
            for inner in fields(each.data(), steps):
                if inner.number == 1:  # a tensor: not a sequence, a map, or sparse
                    kind, shape = _tensor_type(inner.data(), steps)
    return name, kind, shape


def _tensor_type(data: memoryview, steps: Steps) -> tuple[int, list[int | None] | None]:
    kind = 0
    shape: list[int | None] | None = None
    for each in fields(data, steps):
        if each.number == 1:
            kind = each.whole()
        elif each.number == 2:
            shape = []
            for dimension in fields(each.data(), steps):
                if len(shape) == _MOST_DIMENSIONS:
                    raise LimitExceeded(f"a value declares more than {_MOST_DIMENSIONS} dimensions")
                values = [f.whole() for f in fields(dimension.data(), steps) if f.number == 1]
                shape.append(values[0] if values and values[0] > 0 else None)
    return kind, shape


def _read_node(graph: Graph, data: memoryview) -> None:
    inputs: list[str] = []
    outputs: list[str] = []
    op, domain = "", ""
    attributes: list[memoryview] = []
    for each in fields(data, graph.steps):
        match each.number:
            case 1 | 2:
                (inputs if each.number == 1 else outputs).append(each.text())
            case 4:
                op = each.text()
            case 5:
                attributes.append(each.data())
            case 7:
                domain = each.text()
            case 3 | 6 | 9:
                pass
            case _:
                raise UnsupportedNetwork(f"the node {shown(op)} has field {each.number}, which is not read")
    known = OPERATORS.get(op) if domain in DOMAINS else None
    if known is None:
        of = "" if domain in DOMAINS else f" of the domain {shown(domain)}"
        raise UnsupportedNetwork(f"the graph has the operator {shown(op)}{of}, which is not read here")
    fewest, most = known.inputs
    if not fewest <= len(inputs) <= most or not 1 <= len(outputs) <= 2:
        has = f"{op} has {len(inputs)} inputs and {len(outputs)} outputs"
        raise UnsupportedNetwork(f"{has}; {fewest} to {most} and one were expected")
    found = dict(read_attribute(op, known, each, graph.steps) for each in attributes)
    if len(found) != len(attributes):
        raise DamagedFile(f"an attribute of {op} is there twice")
    if op == "Constant":
        graph.constant(outputs[0], constant_of(found))
        return
    used = [graph.use(name) for name in inputs]
    _made(graph, op, outputs)
    graph.nodes.append([op, used, graph.number(outputs[0]), found])


def _made(graph: Graph, op: str, outputs: list[str]) -> None:
    """A second output (a mask, indices) may be there as long as nobody uses it: it has no number."""
    if not outputs[0]:
        raise DamagedFile(f"the output of {op} has no name")
    number = graph.number(outputs[0])
    if number in graph.made or number in graph.constants:
        raise DamagedFile(f"the value {shown(outputs[0])} is made twice")
    graph.made.add(number)
