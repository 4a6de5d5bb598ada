"""An ONNX file that the reading process read -> an OnnxGraph, its cost known before it ever ran."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from gpu_ops.importers.onnx_settings import Raw, settings_of
from gpu_ops.importers.refusals import (
    CheckpointRefused,
    DamagedFile,
    LayoutMismatch,
    LimitExceeded,
    UnsupportedNetwork,
)
from gpu_ops.importers.sandbox import Checkpoint
from gpu_ops.onnx_graph import Node, OnnxGraph
from gpu_ops.onnx_operators import OPERATORS

MOST_VALUES = 1 << 28
"""Numbers that one picture may make in all nodes together (1 GiB): a gradient holds them all."""
MOST_PRODUCTS = 50_000_000_000
"""Multiplications for one picture; a residual network of 100 layers at 112 px takes 24 thousand million."""
MOST_UNFOLDED = 1 << 28
"""Numbers of a convolution's input, each as often as its window sees it."""
_PASSED_ON = ("Identity", "Dropout")


def is_graph(checkpoint: Checkpoint) -> bool:
    return checkpoint.format == "onnx"


def import_graph(checkpoint: Checkpoint) -> OnnxGraph:
    """The graph, on the CPU, frozen. Raises UnsupportedNetwork, LayoutMismatch, LimitExceeded."""
    facts = checkpoint.facts
    constants = {int(name.removeprefix("v")): tensor for name, tensor in checkpoint.tensors.items()}
    try:
        picture, output = int(facts["input"]), int(facts["output"])
        nodes = [_node(entry, constants) for entry in facts["nodes"]]
    except CheckpointRefused:
        raise
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DamagedFile(f"the graph cannot be understood: {type(error).__name__}") from error
    nodes, output = _without_steps_that_do_nothing(nodes, output)
    used = {number for node in nodes for number in node.inputs}
    kept = {number: _float32(constants[number]) for number in sorted(used & constants.keys())}
    try:
        graph = OnnxGraph(nodes, kept, picture, output)
    except ValueError as error:
        raise DamagedFile(str(error)) from error
    return graph.eval().requires_grad_(False)


def _node(entry: list[Any], constants: dict[int, torch.Tensor]) -> Node:
    op, inputs, output, given = entry
    operator = OPERATORS[op]
    known = {place: constants[number] for place, number in enumerate(inputs) if number in constants}
    raw = Raw(op, tuple(inputs), given, known)
    for place in operator.static:
        if raw.has(place) and place not in known:
            raise UnsupportedNetwork(f"input {place} of {op} is computed; a constant was expected")
    settings = settings_of(raw)
    if op in _PASSED_ON and 0 in known:  # another name for a constant
        constants[output] = known[0]
        return Node("Identity", (), output, {})
    return Node(op, tuple(_read(raw, inputs)), int(output), settings)


def _read(raw: Raw, inputs: list[int | None]) -> list[int]:
    """The values that a node reads as tensors: less those that became settings."""
    if raw.op in ("Clip", "Dropout", "Pad", "Reshape", "Squeeze", "Unsqueeze") or raw.op.startswith("Reduce"):
        inputs = inputs[:1]
    while inputs and inputs[-1] is None:  # optional ones at the end, left out
        inputs = inputs[:-1]
    found = [number for number in inputs if number is not None]
    if len(found) != len(inputs) or not found:
        raise LayoutMismatch(f"{raw.op} lacks an input")
    return found


def _without_steps_that_do_nothing(nodes: list[Node], output: int) -> tuple[list[Node], int]:
    """Nodes that pass their input on are left out; who read what they made reads what they read."""
    same: dict[int, int] = {}
    kept = []
    for node in nodes:
        inputs = tuple(same.get(number, number) for number in node.inputs)
        if node.op in _PASSED_ON:
            if inputs:
                same[node.output] = inputs[0]
            continue
        kept.append(Node(node.op, inputs, node.output, node.settings))
    return kept, same.get(output, output)


def _float32(tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_floating_point():
        raise LayoutMismatch(f"a constant of kind {tensor.dtype} is computed with; fractions were expected")
    return tensor.float().contiguous()


def check_cost(graph: OnnxGraph, size_px: int, count: int = 1) -> dict[str, int]:
    """What so many pictures of this size cost, found without computing: numbers made, and multiplications.

    Raises LimitExceeded for more than is allowed, LayoutMismatch where the graph does not fit the picture.
    """
    cost = {"values": 0, "products": 0}

    def watch(node: Node, read: list[torch.Tensor], made: torch.Tensor) -> None:
        products, unfolded = _products(node, read, made)
        cost["values"] += made.numel()
        cost["products"] += products
        most = (count * MOST_VALUES, count * MOST_PRODUCTS, count * MOST_UNFOLDED)
        if cost["values"] > most[0] or cost["products"] > most[1] or unfolded > most[2]:
            raise LimitExceeded(
                f"at {node.op} the picture has become {cost['values']} numbers by {cost['products']} "
                f"multiplications; {most[0]} by {most[1]} at most are allowed"
            )

    shapes = {number: tensor.to("meta") for number, tensor in constants_of(graph).items()}
    hollow = OnnxGraph(graph.nodes, shapes, graph.input, graph.output)  # knows shapes, and no numbers
    with fitting(size_px):
        hollow(torch.empty(count, 3, size_px, size_px, device="meta"), watch)
    return cost


def constants_of(graph: OnnxGraph) -> Mapping[int, torch.Tensor]:
    return {int(name.removeprefix("v")): tensor for name, tensor in graph.named_buffers()}


@contextlib.contextmanager
def fitting(size_px: int) -> Iterator[None]:
    """What torch says of shapes that do not go together becomes LayoutMismatch."""
    try:
        yield
    except CheckpointRefused:
        raise
    except (RuntimeError, IndexError, ValueError, TypeError, OverflowError) as error:
        said = str(error).partition("\n")[0][:200]
        raise LayoutMismatch(f"the graph does not fit a picture of {size_px} px: {said}") from error


def _products(node: Node, read: list[torch.Tensor], made: torch.Tensor) -> tuple[int, int]:
    """Multiplications, and how many numbers a convolution sees, repeats counted."""
    match node.op:
        case "Conv":
            window = read[1][0].numel()  # [I / group, kH, kW]
            places = made.numel() // max(1, made.shape[1])
            return made.numel() * window, places * window * node.settings["group"]
        case "Gemm" | "MatMul":
            return made.numel() * read[0].shape[-1 if not node.settings.get("transA") else 0], 0
        case "MaxPool" | "AveragePool":
            high, wide = node.settings["kernel"]
            return made.numel() * high * wide, 0
    return made.numel(), 0
