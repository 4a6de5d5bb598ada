"""What an operator of ONNX is told, by attributes or by constant inputs as its version has it, in one form.

The form is that of gpu_ops/onnx_graph.py. Raises UnsupportedNetwork, LayoutMismatch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from gpu_ops.importers.refusals import LayoutMismatch, LimitExceeded, UnsupportedNetwork

WIDEST = 512
"""Largest kernel, step, dilation or padding of a window."""
Given = Mapping[str, Any]


@dataclass(frozen=True)
class Raw:
    """A node as it was read. constants: of its inputs, by place, those that are."""

    op: str
    inputs: tuple[int | None, ...]
    given: Given
    constants: Mapping[int, torch.Tensor]

    def has(self, place: int) -> bool:
        return len(self.inputs) > place and self.inputs[place] is not None

    def wholes(self, place: int, name: str) -> list[int] | None:
        """Whole numbers of a constant input, or of that attribute; None where neither is there."""
        if self.has(place):
            found = self.constants[place]
            if found.is_floating_point() or found.dim() > 1 or found.numel() > 64:
                raise LayoutMismatch(f"{self.op} is told {name} by a tensor {list(found.shape)}")
            return [int(value) for value in found.reshape(-1)]
        return list(self.given[name]) if name in self.given else None

    def number(self, place: int, name: str, default: float | None) -> float | None:
        """The same for one number."""
        if self.has(place):
            found = self.constants[place]
            if found.numel() != 1:
                raise LayoutMismatch(f"{self.op} is told {name} by {found.numel()} numbers; one was expected")
            return float(found.reshape(()))
        given: float | None = self.given.get(name, default)
        return given


def settings_of(raw: Raw) -> dict[str, Any]:
    settle = _SETTINGS.get(raw.op)
    return {} if settle is None else settle(raw)


def _window(raw: Raw, kernel: list[int] | None) -> dict[str, Any]:
    if kernel is None or len(kernel) != 2:
        raise UnsupportedNetwork(f"{raw.op} has a window of {kernel}; one of two axes was expected")
    auto = raw.given.get("auto_pad", "NOTSET")
    pads: Any = raw.given.get("pads", [0] * 4)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pads = auto.lower()
    elif auto == "VALID":
        pads = [0] * 4
    elif auto not in ("NOTSET", ""):
        raise UnsupportedNetwork(f"{raw.op} has auto_pad {auto!r}")
    found = {
        "kernel": kernel,
        "strides": raw.given.get("strides", [1, 1]),
        "dilations": raw.given.get("dilations", [1, 1]),
        "pads": pads,
    }
    for name, sizes in found.items():
        if isinstance(sizes, str):
            continue
        least, count = (0, 4) if name == "pads" else (1, 2)
        if len(sizes) != count or min(sizes) < least:
            raise LayoutMismatch(
                f"{raw.op} has {name} {sizes}; {count} numbers from {least} up were expected"
            )
        if max(sizes) > WIDEST:
            raise LimitExceeded(f"{raw.op} has {name} {sizes}; {WIDEST} at most is read")
    return found


def _convolution(raw: Raw) -> dict[str, Any]:
    weight = raw.constants[1]
    if weight.dim() != 4 or raw.given.get("kernel_shape", list(weight.shape[2:])) != list(weight.shape[2:]):
        raise UnsupportedNetwork(f"Conv has weights {list(weight.shape)}; [O, I, kH, kW] was expected")
    group = raw.given.get("group", 1)
    if group < 1 or weight.shape[0] % group:
        raise LayoutMismatch(f"Conv has weights {list(weight.shape)} in {group} groups")
    return {**_window(raw, list(weight.shape[2:])), "group": group}


def _pool(raw: Raw) -> dict[str, Any]:
    found = _window(raw, raw.given.get("kernel_shape"))
    pads = found["pads"]
    if not isinstance(pads, str) and any(pads[axis % 2] >= found["kernel"][axis % 2] for axis in range(2)):
        raise LayoutMismatch(f"{raw.op} has pads {pads}, not smaller than its window {found['kernel']}")
    if raw.given.get("storage_order", 0) or (raw.op == "AveragePool" and found["dilations"] != [1, 1]):
        raise UnsupportedNetwork(f"{raw.op} has a storage order or dilations, which are not read")
    found["ceil_mode"] = bool(raw.given.get("ceil_mode", 0))
    if raw.op == "AveragePool":
        found["count_include_pad"] = bool(raw.given.get("count_include_pad", 0))
    return found


def _batch_norm(raw: Raw) -> dict[str, Any]:
    if raw.given.get("training_mode", 0) or not raw.given.get("spatial", 1):
        raise UnsupportedNetwork("BatchNormalization is in training mode, or not over places")
    return {"epsilon": raw.given.get("epsilon", 1e-5)}


def _dropout(raw: Raw) -> dict[str, Any]:
    if raw.has(2) and bool(raw.constants[2].any()):
        raise UnsupportedNetwork("Dropout is in training mode")
    return {}


def _clip(raw: Raw) -> dict[str, Any]:
    return {"min": raw.number(1, "min", None), "max": raw.number(2, "max", None)}


def _reshape(raw: Raw) -> dict[str, Any]:
    return {"shape": raw.wholes(1, "shape") or [], "allowzero": bool(raw.given.get("allowzero", 0))}


def _pad(raw: Raw) -> dict[str, Any]:
    mode = raw.given.get("mode", "constant")
    if mode not in ("constant", "reflect", "edge"):
        raise UnsupportedNetwork(f"Pad has the mode {mode!r}; constant, reflect or edge was expected")
    pads = raw.wholes(1, "pads") or []
    if any(abs(amount) > WIDEST for amount in pads):
        raise LimitExceeded(f"Pad has pads {pads}; {WIDEST} at most is read")
    return {"pads": pads, "mode": mode, "value": raw.number(2, "value", 0.0)}


def _axes(raw: Raw) -> dict[str, Any]:
    found = raw.wholes(1, "axes")
    if found is not None and len(set(found)) != len(found):
        raise LayoutMismatch(f"{raw.op} has axes {found}; each once was expected")
    if raw.op == "Unsqueeze" and not found:
        raise LayoutMismatch("Unsqueeze has no axes")
    return {"axes": found or None}


def _reduce(raw: Raw) -> dict[str, Any]:
    found = _axes(raw)
    if raw.given.get("noop_with_empty_axes", 0) and not found["axes"]:
        raise UnsupportedNetwork(f"{raw.op} without axes is to do nothing")
    return {**found, "keepdims": bool(raw.given.get("keepdims", 1))}


def _named(**defaults: Any) -> Callable[[Raw], dict[str, Any]]:
    """Attributes as they are."""
    return lambda raw: {name: raw.given.get(name, value) for name, value in defaults.items()}


def _concat(raw: Raw) -> dict[str, Any]:
    if "axis" not in raw.given:
        raise LayoutMismatch("Concat has no axis")
    return {"axis": raw.given["axis"]}


_SETTINGS: dict[str, Callable[[Raw], dict[str, Any]]] = {
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _convolution,
    "Dropout": _dropout,
    "Elu": _named(alpha=1.0),
    "Flatten": _named(axis=1),
    "Gemm": _named(alpha=1.0, beta=1.0, transA=0, transB=0),
    "HardSigmoid": _named(alpha=0.2, beta=0.5),
    "LeakyRelu": _named(alpha=0.01),
    "LpNormalization": _named(axis=-1, p=2),
    "MaxPool": _pool,
    "Pad": _pad,
    "ReduceL2": _reduce,
    "ReduceMean": _reduce,
    "ReduceSum": _reduce,
    "Reshape": _reshape,
    "Squeeze": _axes,
    "Transpose": _named(perm=None),
    "Unsqueeze": _axes,
}
