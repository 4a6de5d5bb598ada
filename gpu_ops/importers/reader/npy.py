"""Arrays in .npy files. The header, which NumPy evaluates, is matched against the form that it writes."""

import re

from gpu_ops.importers.reader.contents import Contents
from gpu_ops.importers.reader.dtypes import BYTES, NUMPY
from gpu_ops.importers.reader.tensors import checked_tensor, in_order, product
from gpu_ops.importers.refusals import DamagedFile, LayoutMismatch, shown

NPY_START = b"\x93NUMPY"
_LENGTH_BYTES = {1: 2, 2: 4, 3: 4}
_MOST_HEADER_BYTES = 4096
_HEADER = re.compile(
    r"\{'descr': '([^']{1,20})', 'fortran_order': (True|False), 'shape': \(([0-9, ]{0,200})\), \} *\n"
)


def read_npy(data: memoryview) -> Contents:
    """The one array of the file, under the name "array"."""
    version = data[6] if len(data) > 6 else 0
    if version not in _LENGTH_BYTES:
        raise DamagedFile(f"the .npy file is of version {version}; 1 to 3 are known")
    begin = 8 + _LENGTH_BYTES[version]
    length = int.from_bytes(data[8:begin], "little")
    if length > _MOST_HEADER_BYTES or begin + length > len(data):
        raise DamagedFile(f"the .npy file declares a header of {length} bytes, more than it has or may have")
    text = bytes(data[begin : begin + length]).decode("latin-1")
    found = _HEADER.fullmatch(text)
    if not found:
        raise LayoutMismatch(f"the .npy header is {shown(text)}; one array of plain numbers was expected")
    code, fortran, sizes = found.groups()
    if code[:1] not in "<|" or code[1:] not in NUMPY:
        raise LayoutMismatch(f"the .npy file holds {shown(code)}; little-endian numbers were expected")
    shape = tuple(int(size) for size in sizes.replace(" ", "").split(",") if size)
    kind, numbers = NUMPY[code[1:]], data[begin + length :]
    stride = in_order(shape[::-1])[::-1] if fortran == "True" else in_order(shape)
    tensor = checked_tensor(kind, shape, stride, 0, len(numbers) // BYTES[kind], numbers)
    if product(shape) * BYTES[kind] != len(numbers):
        raise DamagedFile(
            f"{len(numbers)} bytes of numbers follow; {product(shape) * BYTES[kind]} were expected"
        )
    contents = Contents("npy")
    contents.add("array", tensor)
    return contents
