"""Pictures and masks from strangers, decoded in processes that can do nothing else (storage/decoding.py).

The same three functions as in storage/pictures.py and storage/masks.py, safe for threads: each call takes one
of a few processes that wait for work, which are started when they are first needed. A file that makes its
process fall over, hang, or take too much is refused, and the next call starts another. What comes back is
checked before it is believed.
"""

import atexit
import functools
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import PIL
from numpy.typing import NDArray

from sandbox.bubblewrap import signal_of, wrapped
from storage.decoding import LENGTH, READY
from storage.errors import InvalidInput, MaskMismatch, PictureTooLarge, Unavailable, UnreadablePicture
from storage.masks import Mask
from storage.pictures import EXPECTED, MAX_PIXELS

T = TypeVar("T")
BYTES_PER_PIXEL = 24  # a palette with transparency, laid over white and turned, takes the most
OWN_BYTES = 192 << 20
MOST_PROCESSES = 4  # of some 45 MB: the memory limits of deploy/ count them
CPU_S, WALL_S = 10.0, 40.0
START_S, WAIT_S = 60.0, 60.0
PICTURES_EACH = 1000  # then a process makes room for a new one
ANSWER_BYTES = 1 << 16
BUFFER_BYTES = 4 << 20  # so that neither side often waits for the other; the system may give less
_REFUSALS = {kind.code: kind for kind in (UnreadablePicture, PictureTooLarge, MaskMismatch)}
_ROOT = Path(__file__).resolve().parents[1]
_LIBRARIES = sorted({str(Path(str(package.__file__)).parents[1]) for package in (np, PIL)})


def inspect_picture(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int, str]:
    """(width_px, height_px, media_type) of the upright picture, all of which was decoded.

    Raises UnreadablePicture, PictureTooLarge; Unavailable where no process is to be had.
    """
    return decoders().ask(max_pixels, lambda decoder: decoder.inspect(data, max_pixels))


def decode_picture(data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """uint8 [H, W, 3], upright. Raises UnreadablePicture, PictureTooLarge, Unavailable."""
    return decoders().ask(max_pixels, lambda decoder: decoder.pixels("picture", data, max_pixels, (3,)))


def decode_mask(data: bytes, max_pixels: int = MAX_PIXELS) -> Mask:
    """uint8 [H, W]. Raises UnreadablePicture, PictureTooLarge, MaskMismatch, Unavailable."""
    return decoders().ask(max_pixels, lambda decoder: decoder.pixels("mask", data, max_pixels, ()))


class Nonsense(OSError):
    """An answer that the code in storage/decoding.py never gives: whatever gave it is not asked again."""


class Decoder:
    """One process. Raises Unavailable where it cannot be started."""

    def __init__(self, max_pixels: int) -> None:
        self.max_pixels, self.pictures = max_pixels, 0
        self._socket, theirs = socket.socketpair()
        for each in (self._socket, theirs):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        memory_bytes = BYTES_PER_PIXEL * max_pixels + OWN_BYTES
        script = str(Path(__file__).with_name("decoding.py"))
        folders = json.dumps([str(_ROOT), *_LIBRARIES])
        options = [folders, str(max_pixels), str(memory_bytes), str(CPU_S)]
        visible = [_ROOT / "storage", _ROOT / "sandbox", *map(Path, _LIBRARIES)]
        with theirs:
            self._process = _started([sys.executable, "-I", "-S", "-B", script, *options], visible, theirs)
        try:
            self._expect(READY)
        except OSError:
            self.end()
            raise Unavailable("The process that opens pictures did not start.") from None

    def inspect(self, data: bytes, max_pixels: int) -> tuple[int, int, str]:
        """Raises InvalidInput for what the process refuses, and OSError where it ended, was not in time, or
        answered Nonsense."""
        match self._asked("inspect", data, max_pixels, self._deadline()).get("found"):
            case [int(width), int(height), str(media_type)] if 0 < width * height <= max_pixels:
                return width, height, media_type
        raise Nonsense

    def pixels(self, way: str, data: bytes, max_pixels: int, channels: tuple[int, ...]) -> NDArray[np.uint8]:
        """uint8 [H, W, *channels]. Raises as `inspect` does."""
        deadline = self._deadline()
        match self._asked(way, data, max_pixels, deadline).get("shape"):
            case [int(height), int(width), *more] if tuple(more) == channels and min(height, width) > 0:
                if height * width <= max_pixels:
                    found = self._exactly(height * width * math.prod(channels), deadline)
                    return np.frombuffer(found, np.uint8).reshape(height, width, *channels)
        raise Nonsense

    def _deadline(self) -> float:
        return time.monotonic() + WALL_S

    def _asked(self, way: str, data: bytes, max_pixels: int, deadline: float) -> dict[str, Any]:
        self.pictures += 1
        asked = json.dumps({"way": way, "max_pixels": max_pixels, "bytes": len(data)}).encode()
        self._socket.settimeout(WALL_S)
        self._socket.sendall(LENGTH.pack(len(asked)) + asked)
        self._socket.sendall(data)
        told = self._told(deadline)
        if "error" in told:
            raise _refusal(told["error"])
        return told

    def _told(self, deadline: float) -> dict[str, Any]:
        (count,) = LENGTH.unpack(self._exactly(LENGTH.size, deadline))
        if count > ANSWER_BYTES:
            raise Nonsense
        try:
            told = json.loads(self._exactly(count, deadline))
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise Nonsense
        return told

    def _exactly(self, count: int, deadline: float) -> bytearray:
        """Raises OSError: TimeoutError when the time is up."""
        data = bytearray(count)
        view = memoryview(data)
        while view:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            got = self._socket.recv_into(view)
            if got == 0:
                raise ConnectionResetError
            view = view[got:]
        return data

    def _expect(self, words: bytes) -> None:
        if self._exactly(len(words), time.monotonic() + START_S) != words:
            raise ConnectionResetError

    def end(self) -> int | None:
        """End it with all that it started. The signal that it had ended by before."""
        self._socket.close()
        returncode = self._process.poll()
        if returncode is None:
            with suppress(subprocess.TimeoutExpired):  # it may be about to
                returncode = self._process.wait(0.2)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        return None if returncode is None else signal_of(returncode)

    def forget(self) -> None:
        """In a forked process: the decoder is its parent's."""
        self._socket.close()


def _started(command: list[str], visible: list[Path], theirs: socket.socket) -> subprocess.Popen[bytes]:
    """No environment, no descriptor but one, a session of its own."""
    environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    try:
        return subprocess.Popen(
            wrapped(command, visible),
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment | {"OPENBLAS_NUM_THREADS": "1"},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(f"The process that opens pictures cannot be started: {error.strerror}.") from error


class Decoders:
    """A few processes, for any number of threads."""

    def __init__(self, most: int) -> None:
        self._places = threading.BoundedSemaphore(most)
        self._idle: list[Decoder] = []

    def ask(self, max_pixels: int, question: Callable[[Decoder], T]) -> T:
        """Raises InvalidInput for a file that is refused, Unavailable where no process is free in time."""
        with self._place():
            decoder = self._taken(max_pixels)
            try:
                answer = question(decoder)
            except InvalidInput:
                self._put_back(decoder)
                raise
            except BaseException as error:
                ended_by = decoder.end()
                if isinstance(error, OSError):
                    raise _unsaid(error, ended_by) from None
                raise
            self._put_back(decoder)
            return answer

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(timeout=WAIT_S):
            raise Unavailable("All processes that open pictures are busy.")
        try:
            yield
        finally:
            self._places.release()

    def _taken(self, max_pixels: int) -> Decoder:
        while True:
            try:
                decoder = self._idle.pop()
            except IndexError:
                return Decoder(max(MAX_PIXELS, max_pixels))
            if decoder.max_pixels >= max_pixels:
                return decoder
            decoder.end()

    def _put_back(self, decoder: Decoder) -> None:
        if decoder.pictures < PICTURES_EACH:
            self._idle.append(decoder)
        else:
            decoder.end()

    def end(self) -> None:
        while self._idle:
            self._idle.pop().end()

    def forget(self) -> None:
        while self._idle:
            self._idle.pop().forget()


@functools.cache
def decoders() -> Decoders:
    """This process's own."""
    found = Decoders(min(MOST_PROCESSES, max(2, os.cpu_count() or 1)))
    atexit.register(found.end)
    return found


def _forked() -> None:
    if decoders.cache_info().currsize:
        decoders().forget()
        decoders.cache_clear()


os.register_at_fork(after_in_child=_forked)


def _refusal(told: Any) -> InvalidInput:
    told = told if isinstance(told, dict) else {}
    kind = _REFUSALS.get(str(told.get("code")), UnreadablePicture)
    return kind(str(told.get("detail"))[:300], expected=str(told.get("expected") or EXPECTED)[:300])


def _unsaid(error: OSError, ended_by: int | None) -> InvalidInput | Unavailable:
    """What it means that no answer came. A process that was killed from outside says nothing of its file."""
    if ended_by == signal.SIGKILL:
        return Unavailable("The process that opened the picture was killed.")
    if isinstance(error, TimeoutError) or ended_by == signal.SIGPROF:
        expected = f"a picture that is decoded within {CPU_S:g} s"
        return PictureTooLarge("The picture takes too long to decode.", expected=expected)
    return UnreadablePicture("This file cannot be read as a picture.", expected=EXPECTED)
