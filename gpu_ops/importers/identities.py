"""A caller's own identity network, from an ONNX file: converted, and tried before it is believed."""

from typing import Any

import torch

from gpu_ops.graph_identity import GraphIdentity, Sight
from gpu_ops.importers.graphs import check_cost, fitting, import_graph, is_graph
from gpu_ops.importers.refusals import LayoutMismatch, UnknownFormat, UnsupportedNetwork
from gpu_ops.importers.sandbox import Checkpoint

SIZES = (2, 8192)
"""Of an embedding, least and most."""
_ALIKE = 1e-3  # of two ways to the same numbers, as a share of their length


def import_identity(checkpoint: Checkpoint, sight: Sight) -> tuple[GraphIdentity, dict[str, Any]]:
    """An embedder on the CPU, frozen; and figures: the embedding's size, what a picture costs.

    Two pictures of noise are shown to it: it must make a finite vector of each, tell them apart, and have a
    slope. Raises UnknownFormat, UnsupportedNetwork, LayoutMismatch, LimitExceeded.
    """
    if not is_graph(checkpoint):
        raise UnknownFormat(f"this is a file of the format {checkpoint.format}; an .onnx file was expected")
    graph = import_graph(checkpoint)
    _check_input(checkpoint.facts["input_shape"], sight.size_px)
    cost = check_cost(graph, sight.size_px)
    noise = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with fitting(sight.size_px):
        identity = GraphIdentity(graph, sight, alone=True)
        apart = _vectors(identity, noise)
        identity.alone = not _takes_several(GraphIdentity(graph, sight), noise, apart, cost["values"])
        _check_slope(identity, noise)
    figures = {"size": apart.shape[1], "alone": identity.alone, "nodes": len(graph.nodes), **cost}
    return identity, figures


def _check_input(shape: object, size_px: int) -> None:
    expected = [None, 3, size_px, size_px]
    if not isinstance(shape, list) or len(shape) != 4:
        raise UnsupportedNetwork(f"the input is {shape}; [N, 3, {size_px}, {size_px}] was expected")
    wrong = [
        found
        for found, fits in zip(shape[1:], expected[1:], strict=True)
        if found is not None and found != fits
    ]
    if wrong:
        said = "channels last" if shape[3] == 3 else "another size or number of channels"
        wanted = f"[N, 3, {size_px}, {size_px}] was expected: give the size that the network takes"
        raise LayoutMismatch(f"the input is {shape} ({said}); {wanted}")


@torch.no_grad()
def _vectors(identity: GraphIdentity, noise: torch.Tensor) -> torch.Tensor:
    """What it makes of two pictures [2, E], one by one."""
    found = identity.raw(noise)
    least, most = SIZES
    if not least <= found.shape[1] <= most:
        raise LayoutMismatch(f"a picture becomes {found.shape[1]} numbers; {least} to {most} were expected")
    if not bool(found.isfinite().all()):
        raise LayoutMismatch("a picture of noise becomes numbers that are infinite, or none")
    if torch.equal(found[0], found[1]) or not bool(found.norm(dim=1).all()):
        raise LayoutMismatch("two different pictures of noise become the same vector, or one without length")
    return found


@torch.no_grad()
def _takes_several(identity: GraphIdentity, noise: torch.Tensor, apart: torch.Tensor, values: int) -> bool:
    """Whether two pictures at once become what they do one by one, and cost no more than twice one."""
    try:
        cost = check_cost(identity.graph, identity.sight.size_px, count=2)
        if cost["values"] > 2 * values:
            return False
        together = identity.raw(noise)
    except (RuntimeError, IndexError, ValueError):
        return False
    if together.shape != apart.shape:
        return False
    return bool(((together - apart).norm(dim=1) <= _ALIKE * apart.norm(dim=1)).all())


@torch.enable_grad()
def _check_slope(identity: GraphIdentity, noise: torch.Tensor) -> None:
    shown = noise[:1].clone().requires_grad_(True)
    with torch.no_grad():
        other = identity.embed(noise[1:])
    (slope,) = torch.autograd.grad(identity.distance(identity.embed(shown), other).sum(), shown)
    if not bool(slope.isfinite().all()) or not bool(slope.any()):
        raise LayoutMismatch("the distance of two pictures has no slope, or none that is finite")
