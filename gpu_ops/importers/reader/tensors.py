"""Tensors of torch and arrays of NumPy, from the inert values that a pickle becomes."""

from collections.abc import Callable
from dataclasses import dataclass

from gpu_ops.importers.reader.dtypes import BYTES, NUMPY
from gpu_ops.importers.reader.nodes import Call, Storage, Value, described
from gpu_ops.importers.refusals import DamagedFile, ForbiddenContent, LayoutMismatch, LimitExceeded

_MOST_DIMENSIONS = 8
_MOST_ELEMENTS = 1 << 40
_REBUILDS = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
_PARAMETER = "torch._utils._rebuild_parameter"
_FROM_BYTES = "torch.storage._load_from_bytes"


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of numbers: element (i, j, ...) is data[offset + i stride[0] + j stride[1] + ...]."""

    kind: str  # a key of dtypes.BYTES
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    data: memoryview

    @property
    def count(self) -> int:
        return product(self.shape)

    @property
    def byte_size(self) -> int:
        """What the tensor takes, here and once its numbers are in order."""
        return max(self.count, self.extent) * BYTES[self.kind]

    @property
    def is_plain(self) -> bool:
        """The numbers lie one after the other, in order."""
        return self.count == 0 or all(
            size == 1 or mine == usual
            for size, mine, usual in zip(self.shape, self.stride, in_order(self.shape), strict=True)
        )

    @property
    def extent(self) -> int:
        """How many numbers there are from the first to the last."""
        if self.count == 0:
            return 0
        return 1 + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))

    def numbers(self) -> memoryview:
        """The bytes from the first number to the last."""
        width = BYTES[self.kind]
        return self.data[self.offset * width : (self.offset + self.extent) * width]


def product(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def in_order(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of numbers in C's order."""
    return tuple(product(shape[index + 1 :]) for index in range(len(shape)))


def checked_tensor(
    kind: str, shape: Value, stride: Value, offset: Value, count: int, data: memoryview
) -> Tensor:
    """A view of `count` numbers. Raises DamagedFile where it does not lie within them."""
    if not (_whole(shape) and _whole(stride) and _whole((offset,)) and len(shape) == len(stride)):
        raise DamagedFile("a tensor has a shape, strides or an offset that are not whole numbers from 0 up")
    _check_size(shape)
    tensor = Tensor(kind, shape, stride, offset, data)
    if len(data) < count * BYTES[kind] or (tensor.count and offset + tensor.extent > count):
        raise DamagedFile(
            f"a tensor of shape {list(shape)} needs {offset + tensor.extent} numbers of kind {kind}; "
            f"{min(count, len(data) // BYTES[kind])} are there"
        )
    return tensor


def _whole(values: Value) -> bool:
    return isinstance(values, tuple) and all(type(v) is int and 0 <= v < 1 << 62 for v in values)


def _check_size(shape: tuple[int, ...]) -> None:
    if len(shape) > _MOST_DIMENSIONS:
        raise LimitExceeded(f"a tensor declares {len(shape)} dimensions; {_MOST_DIMENSIONS} at most are read")
    if product(shape) > _MOST_ELEMENTS:
        raise LimitExceeded(f"a tensor declares {product(shape)} numbers")


def torch_tensor(node: Value, storage_of: Callable[[memoryview], Storage]) -> Tensor | None:
    """The tensor that a value stands for, or None where it stands for none.

    storage_of reads a storage that lies within the pickle as bytes.
    """
    if isinstance(node, Call) and node.name == _PARAMETER and node.arguments:
        node = node.arguments[0]
    if not isinstance(node, Call) or node.name not in _REBUILDS:
        return None
    if len(node.arguments) < 4:
        raise DamagedFile("a tensor is made of fewer than four things")
    source, offset, shape, stride = node.arguments[:4]
    if len(node.arguments) > 6 and node.arguments[6]:
        raise ForbiddenContent("a tensor has metadata; a plain one was expected")
    if isinstance(source, Call) and source.name == _FROM_BYTES:
        source = storage_of(_bytes(source.arguments[0] if len(source.arguments) == 1 else None))
    if not isinstance(source, Storage) or source.data is None:
        raise ForbiddenContent(f"a tensor is made of {described(source)}; a storage was expected")
    return checked_tensor(source.kind, shape, stride, offset, source.count, source.data)


def numpy_array(node: Value) -> Tensor | None:
    """The array or NumPy number that a value stands for, or None where it stands for none."""
    if not isinstance(node, Call) or not node.name.startswith("numpy."):
        return None
    if node.name.endswith(".multiarray._reconstruct"):
        return _reconstructed(node.state)
    if node.name.endswith(".multiarray.scalar") and len(node.arguments) == 2:
        return _array(node.arguments[1], node.arguments[0], (), fortran=False)
    if node.name.endswith(".numeric._frombuffer") and len(node.arguments) == 4:
        data, dtype, shape, order = node.arguments
        return _array(data, dtype, shape, fortran=order == "F")
    return None


def _reconstructed(state: Value) -> Tensor:
    if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[3], bool | int):
        raise DamagedFile("an array's state is not (version, shape, dtype, order, bytes)")
    _, shape, dtype, fortran, data = state
    return _array(data, dtype, shape, fortran=bool(fortran))


def _array(data: Value, dtype: Value, shape: Value, *, fortran: bool) -> Tensor:
    kind = _numpy_kind(dtype)
    if not _whole(shape):
        raise DamagedFile("an array's shape is not made of whole numbers from 0 up")
    _check_size(shape)
    count = product(shape)
    raw = _bytes(data, count * BYTES[kind])
    stride = in_order(shape[::-1])[::-1] if fortran else in_order(shape)
    return checked_tensor(kind, shape, stride, 0, count, raw)


def _numpy_kind(dtype: Value) -> str:
    """The kind of a numpy.dtype(name, ...) with state (version, byte order, None, None, ...)."""
    if not isinstance(dtype, Call) or dtype.name != "numpy.dtype" or not dtype.arguments:
        raise ForbiddenContent(f"an array's dtype is {described(dtype)}")
    code, state = dtype.arguments[0], dtype.state
    if isinstance(code, memoryview):
        code = code[:8].tobytes().decode("latin-1")
    order = state[1] if isinstance(state, tuple) and len(state) > 4 else "|"
    if isinstance(order, memoryview):
        order = order[:2].tobytes().decode("latin-1")
    fields = state[2:5] if isinstance(state, tuple) else (None,)
    if not isinstance(code, str) or code not in NUMPY or any(field is not None for field in fields):
        raise LayoutMismatch(f"an array holds {described(code)}; one of {', '.join(NUMPY)} was expected")
    if order not in ("<", "|", "="):
        raise LayoutMismatch(f"an array has byte order {described(order)}; '<' was expected")
    return NUMPY[code]


def _bytes(value: Value, size: int | None = None) -> memoryview:
    """Bytes; protocol 2 writes them as text, in a call of _codecs.encode."""
    if isinstance(value, Call) and value.name == "_codecs.encode" and len(value.arguments) == 2:
        text, encoding = value.arguments
        if isinstance(text, str) and encoding in ("latin1", "latin-1") and size in (None, len(text)):
            try:
                return memoryview(text.encode("latin-1"))
            except UnicodeEncodeError:
                raise DamagedFile("bytes that are written as text hold a character above 255") from None
    if isinstance(value, memoryview) and size in (None, len(value)):
        return value
    wanted = "bytes were expected" if size is None else f"{size} bytes were expected"
    found = f"{len(value)} bytes" if isinstance(value, memoryview) else described(value)
    raise DamagedFile(f"a tensor's numbers are {found}; {wanted}")
