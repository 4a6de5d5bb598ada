"""Reads a file that may be hostile, in a process of its own that can do nothing else.

The process (reader/) is a fresh interpreter with the standard library alone. It gets the file as its standard
input and writes tensors as safetensors, and a few facts; it executes nothing that the file holds, and could
reach neither network nor files if it did (sandbox/). What it writes is checked here before it is believed.
"""

import contextlib
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from gpu_ops.importers.limits import Limits
from gpu_ops.importers.reader import entry
from gpu_ops.importers.reader.write import FACTS
from gpu_ops.importers.refusals import (
    BY_CODE,
    CheckpointRefused,
    DamagedFile,
    LayoutMismatch,
    LimitExceeded,
    SandboxUnavailable,
    UnknownFormat,
)
from sandbox.bubblewrap import signal_of, wrapped

_VERDICT_BYTES = 1 << 16
PACKAGES = [Path(__file__).resolve().parents[2] / name for name in ("gpu_ops", "sandbox")]
POLL_S = 0.01


@dataclass(frozen=True)
class Checkpoint:
    """What was read of a file.

    format    persistent | tensorflow | g_ema | state_dict | npy | onnx
    tensors   by the names that the file gives them; finite
    facts     plain values beside them: numbers, short texts, lists and dictionaries of these
    network   "absent" where the reading process had no network at all, "refused" where Python refused it
    """

    path: Path
    sha256: str
    format: str
    tensors: dict[str, torch.Tensor]
    facts: dict[str, Any]
    network: str


def read_checkpoint(path: Path, limits: Limits | None = None) -> Checkpoint:
    """Read a file. Raises CheckpointRefused, its message beginning with the file's name."""
    limits = limits or Limits()
    try:
        with _opened(path, limits) as file, tempfile.TemporaryDirectory(prefix="editq-import-") as folder:
            sha256 = _sha256(file)
            verdict = _run(file, Path(folder), limits)
            kind, tensors, facts = _believed(Path(folder) / "tensors", limits)
    except CheckpointRefused as refusal:
        raise type(refusal)(f"{path.name}: {refusal}") from refusal.__cause__
    return Checkpoint(path, sha256, kind, tensors, facts, str(verdict.get("network")))


@contextlib.contextmanager
def _opened(path: Path, limits: Limits) -> Iterator[int]:
    """A descriptor of a regular file of a size that is allowed. Never waits, as opening a pipe would."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UnknownFormat(f"the file cannot be opened: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise UnknownFormat("this is no regular file")
        if found.st_size == 0:
            raise DamagedFile("the file is empty")
        if found.st_size > limits.file_bytes:
            raise LimitExceeded(f"the file has {found.st_size} bytes; {limits.file_bytes} at most are read")
        yield descriptor
    finally:
        os.close(descriptor)


def _sha256(descriptor: int) -> str:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    os.lseek(descriptor, 0, os.SEEK_SET)
    return digest


def _run(file: int, folder: Path, limits: Limits) -> dict[str, Any]:
    """Start the reading process, wait for it, and return its verdict. Raises what it refuses."""
    verdict = folder / "verdict"
    with verdict.open("wb") as said, (folder / "tensors").open("wb") as tensors:
        os.set_inheritable(tensors.fileno(), True)
        process = _start(file, said.fileno(), tensors.fileno(), limits)
        try:
            in_time = _ended(process.pid, limits.time_s)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and whatever it started
            code = process.wait()
    if not in_time:
        raise LimitExceeded(f"reading takes longer than {limits.time_s:g} s")
    text = verdict.read_bytes()[:_VERDICT_BYTES]
    if not text:
        raise _unsaid(code, limits)
    found = _parsed(text)
    if "code" in found:
        raise BY_CODE.get(str(found["code"]), DamagedFile)(str(found.get("message"))[:2000])
    return found


def _ended(pid: int, time_s: float) -> bool:
    """Wait until a process has ended, but leave it to be waited for: until then its number stays its own."""
    deadline = time.monotonic() + time_s
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def _start(file: int, said: int, tensors: int, limits: Limits) -> subprocess.Popen[bytes]:
    """The reading process: no environment, no descriptors but three, a session of its own."""
    environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    try:
        return subprocess.Popen(
            wrapped([sys.executable, *entry.arguments(limits, tensors)], PACKAGES),
            stdin=file,
            stdout=said,
            stderr=subprocess.DEVNULL,
            pass_fds=(tensors,),
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxUnavailable(f"the reading process cannot be started: {error.strerror}") from error


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise DamagedFile("the reading process's verdict cannot be read")
    return found


def _unsaid(code: int, limits: Limits) -> CheckpointRefused:
    """What it means that the process ended without a verdict."""
    ended_by = signal_of(code)
    if ended_by in (signal.SIGXCPU, signal.SIGKILL):
        return LimitExceeded(
            f"reading takes more than {limits.cpu_s} s of computing, or more memory than there is"
        )
    if ended_by is not None:
        return DamagedFile(f"reading the file ended by signal {signal.Signals(ended_by).name}")
    return SandboxUnavailable(f"the reading process ended with status {code} and said nothing")


def _believed(path: Path, limits: Limits) -> tuple[str, dict[str, torch.Tensor], dict[str, Any]]:
    """Format, tensors and facts that the reading process wrote, checked as if it were the file itself."""
    try:
        with safe_open(path, framework="pt") as file:
            said: dict[str, Any] = json.loads((file.metadata() or {})[FACTS])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for name, (shape, stride) in said["views"].items():
            tensors[name] = _in_order(tensors[name], shape, stride, limits)
        kind, facts = str(said["format"]), dict(said["facts"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise DamagedFile(f"the reading process left no tensors: {type(error).__name__}") from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise LayoutMismatch(f"{name} holds values that are infinite or no numbers")
    return kind, tensors, facts


def _in_order(flat: torch.Tensor, shape: list[int], stride: list[int], limits: Limits) -> torch.Tensor:
    """The tensor whose numbers lie at these strides in flat, copied into C's order."""
    sizes = [*shape, *stride]
    count = torch.Size(shape).numel()
    last = sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if min(sizes) < 0 or last >= flat.numel() or count * flat.element_size() > limits.tensor_bytes:
        raise ValueError("a view that leaves its numbers")
    return torch.as_strided(flat, shape, stride).contiguous()
