"""The process that opens pictures for others: requests come, and answers go, over its standard input.

Started by storage/decoders.py with `python -I -S`. A request is some JSON (how to read, the most pixels,
how many bytes follow) and the file; an answer is some JSON (a shape and facts, or an error) and the pixels.
It gives up what it can (sandbox/lockdown.py) before the first byte of a file; a file that takes too long to
read, or makes a decoder fall over, ends the process.
"""

import io
import json
import os
import resource
import signal
import struct
import sys
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

if __name__ == "__main__":
    sys.path[:0] = json.loads(sys.argv[1])

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sandbox import lockdown
from storage.errors import EditqError, UnreadablePicture
from storage.masks import decode_mask, encode_mask
from storage.pictures import EXPECTED, decode_picture, inspect_picture

LENGTH = struct.Struct(">I")  # of the line that follows
READY = b"ready"
HARMLESS = frozenset({"builtins.id", "array.__new__"})
Answer = tuple[dict[str, Any], NDArray[np.uint8] | None]


def inspect(data: bytes, max_pixels: int) -> Answer:
    return {"found": inspect_picture(data, max_pixels)}, None


def picture(data: bytes, max_pixels: int) -> Answer:
    return {}, decode_picture(data, max_pixels)


def mask(data: bytes, max_pixels: int) -> Answer:
    return {}, decode_mask(data, max_pixels)


WAYS: dict[str, Callable[[bytes, int], Answer]] = {"inspect": inspect, "picture": picture, "mask": mask}


def main(max_pixels: int, memory_bytes: int, cpu_s: float) -> NoReturn:
    warnings.simplefilter("ignore")
    _load_all()
    lockdown.leave_network()
    lockdown.limit_all(_mapped_bytes() + memory_bytes, written_bytes=0)
    lockdown.refuse_everything(HARMLESS)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process
    os.write(0, READY)
    while True:
        asked = json.loads(_exactly(*LENGTH.unpack(_exactly(LENGTH.size))))
        data = _exactly(int(asked["bytes"]))
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
        told, pixels = _read(asked["way"], data, min(int(asked["max_pixels"]), max_pixels))
        signal.setitimer(signal.ITIMER_PROF, 0)
        if pixels is not None:
            told["shape"] = pixels.shape
        line = json.dumps(told).encode()
        _write(LENGTH.pack(len(line)) + line)
        if pixels is not None:
            _write(np.ascontiguousarray(pixels).data.cast("B"))
        del data, pixels


def _read(way: str, data: bytes, max_pixels: int) -> Answer:
    try:
        return WAYS[way](data, max_pixels)
    except EditqError as error:
        return {"error": error.as_dict()}, None
    except lockdown.NotAllowed as event:
        detail = f"Reading the file asked for {event}, which is not allowed."
        return {"error": UnreadablePicture(detail, expected=EXPECTED).as_dict()}, None


def _load_all() -> None:
    """Import everything that reading any picture needs: afterwards nothing can be."""
    for file_format in ("PNG", "JPEG", "WEBP", "BMP", "TIFF"):
        for mode in ("RGB", "L"):
            file = io.BytesIO()
            Image.new(mode, (8, 8)).save(file, file_format)
            decode_picture(file.getvalue())
            inspect_picture(file.getvalue())
    decode_picture(_deep_grey())
    decode_mask(encode_mask(np.zeros((8, 8), np.uint8), ()))


def _deep_grey() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(file, "PNG")
    return file.getvalue()


def _mapped_bytes() -> int:
    """Address space in use; of a system that does not tell, none, and the limit is the tighter for it."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 256 << 20


def _exactly(count: int) -> bytes:
    """The process ends with its input: the other side has gone then."""
    data = bytearray(count)
    view, have = memoryview(data), 0
    while have < count:
        got = os.readv(0, [view[have:]])
        if got == 0:
            os._exit(0)
        have += got
    return bytes(data)


def _write(data: bytes | memoryview) -> None:
    while data:
        data = data[os.write(0, data) :]


if __name__ == "__main__":
    try:
        main(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    finally:
        os._exit(70)  # no shutdown code, which could be refused what it wants
