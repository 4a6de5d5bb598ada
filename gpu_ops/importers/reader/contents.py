"""What a file holds, as far as it is of use here: named tensors, and a few plain facts."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gpu_ops.importers.limits import Limits
from gpu_ops.importers.reader.nodes import Value
from gpu_ops.importers.reader.tensors import Tensor
from gpu_ops.importers.refusals import LayoutMismatch, LimitExceeded, shown

_MOST_LEVELS = 4
_MOST_ITEMS = 500
_MOST_CHARACTERS = 200


@dataclass
class Contents:
    """format: persistent | tensorflow | g_ema | state_dict | npy | onnx."""

    format: str
    tensors: dict[str, Tensor] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, name: Value, tensor: Tensor) -> None:
        """Raises LayoutMismatch for a name that is no plain name, or that is there already."""
        if not isinstance(name, str) or not is_name(name):
            raise LayoutMismatch(
                f"a tensor is named {shown(name)}; letters, digits, '_', '.', '/' were expected"
            )
        if name in self.tensors:
            raise LayoutMismatch(f"two tensors are named {shown(name)}")
        self.tensors[name] = tensor

    def check(self, limits: Limits) -> None:
        if not self.tensors:
            raise LayoutMismatch("the file holds no tensors where they were expected")
        if len(self.tensors) > limits.tensors:
            raise LimitExceeded(
                f"the file has {len(self.tensors)} tensors; {limits.tensors} at most are read"
            )
        total = sum(tensor.byte_size for tensor in self.tensors.values())
        if total > limits.tensor_bytes:
            raise LimitExceeded(
                f"the tensors declare {total} bytes together; {limits.tensor_bytes} at most are read"
            )


def is_name(name: str) -> bool:
    return 0 < len(name) <= 200 and name.isascii() and name.translate(_PLAIN) == "" and name[0] != "_"


_PLAIN = str.maketrans("", "", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-")


def plain(value: Value) -> Any:
    """A value as JSON can say it: numbers, short texts, small lists and dictionaries; otherwise its type."""
    return _plain(value, _MOST_LEVELS, [_MOST_ITEMS])


def _plain(value: Value, levels: int, left: list[int]) -> Any:
    """left: how many values may still be walked, so that a value that is named twice costs twice."""
    left[0] -= 1
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 53 else "a large number"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return value[:_MOST_CHARACTERS].encode("utf-8", "replace").decode()
    if isinstance(value, list | tuple | dict) and levels and len(value) <= left[0]:
        if isinstance(value, dict):
            return {str(_plain(key, 0, left)): _plain(each, levels - 1, left) for key, each in value.items()}
        return [_plain(each, levels - 1, left) for each in value]
    return f"<{type(value).__name__}>"


def described_keys(keys: Iterable[Value]) -> str:
    """The first few keys of a dictionary, for messages."""
    names = [shown(key) for key in keys]
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
