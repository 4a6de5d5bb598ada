"""What an ONNX node is told: plain values of the kinds that its operator knows."""

import math
import struct
from typing import Any

from gpu_ops.importers.reader.machine import Steps
from gpu_ops.importers.reader.onnx_tensor import read_tensor, tensor_of
from gpu_ops.importers.reader.protobuf import FIXED32, Field, fields, wholes
from gpu_ops.importers.reader.tensors import Tensor
from gpu_ops.importers.refusals import LayoutMismatch, LimitExceeded, UnsupportedNetwork, shown
from gpu_ops.onnx_operators import Operator

_MOST_ITEMS = 64
_MOST_TEXT = 64
_EMPTY: dict[int, tuple[str, Any]] = {1: ("float", 0.0), 2: ("int", 0), 3: ("string", "")}
"""By the attribute's own type: what some writers leave out."""
_REFUSED = {6: "a graph", 11: "graphs", 10: "tensors", 14: "a type", 15: "types", 22: "a sparse tensor"}


def read_attribute(op: str, known: Operator, data: memoryview, steps: Steps) -> tuple[str, Any]:
    """Name and value. Raises UnsupportedNetwork for one that is not read, LayoutMismatch for another kind."""
    name, kind = "", ""
    value: Any = None
    ints: list[int] = []
    floats: list[float] = []
    for each in fields(data, steps):
        match each.number:
            case 1:
                name = each.text()
            case 2:
                kind, value = "float", each.real()
            case 3:
                kind, value = "int", each.whole()
            case 4:
                kind, value = "string", each.text(_MOST_TEXT)
            case 5:
                kind, value = "tensor", read_tensor(each.data(), steps)[1]
            case 7:
                floats += _reals(each)
            case 8:
                ints += wholes(each, steps)
            case 13:
                pass
            case 20:
                kind, value = (kind, value) if kind else _EMPTY.get(each.whole(), ("", None))
            case _:
                what = _REFUSED.get(each.number, f"field {each.number}")
                raise UnsupportedNetwork(f"{op} has {what} as its attribute {shown(name)}, which is not read")
        if max(len(ints), len(floats)) > _MOST_ITEMS:
            raise LimitExceeded(f"the attribute {shown(name)} of {op} has more than {_MOST_ITEMS} numbers")
    wanted = known.attributes.get(name)
    if wanted is None:
        raise UnsupportedNetwork(f"{op} has the attribute {shown(name)}, which is not read")
    if wanted in ("ints", "floats") and not kind:
        kind, value = wanted, ints if wanted == "ints" else floats
    if kind != wanted or (wanted == "ints" and floats) or (wanted == "floats" and ints):
        raise LayoutMismatch(
            f"the attribute {name} of {op} is of the kind {kind or 'none'}; {wanted} was expected"
        )
    numbers = value if isinstance(value, list) else [value]
    if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
        raise LayoutMismatch(f"the attribute {name} of {op} is infinite or no number")
    return name, value


def _reals(each: Field) -> tuple[float, ...]:
    if each.kind == FIXED32:
        return (each.real(),)
    data = each.data()
    if len(data) % 4 or len(data) > 4 * _MOST_ITEMS:
        most = f"{4 * _MOST_ITEMS} at most are read"
        raise LimitExceeded(f"an attribute has {len(data)} bytes of numbers; {most}")
    return struct.unpack(f"<{len(data) // 4}f", data)


def constant_of(found: dict[str, Any]) -> Tensor:
    """The tensor of a Constant's one attribute."""
    if len(found) != 1:
        raise LayoutMismatch(f"a Constant has {len(found)} values; one was expected")
    ((name, value),) = found.items()
    if isinstance(value, Tensor):
        return value
    kind = "I64" if "int" in name else "F32"
    return tensor_of(kind, value if isinstance(value, list) else [value], scalar=not isinstance(value, list))
