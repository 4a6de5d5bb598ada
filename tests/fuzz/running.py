"""The inputs of one entry, read one after another, and what became of them."""

import collections
import io
import random
import resource
import tempfile
import time
from pathlib import Path

import coverage
import numpy as np

from fuzz.entries import ENTRIES, LIMITS, MAX_PIXELS, Entry, text_of
from gpu_ops.importers.refusals import CheckpointRefused
from gpu_ops.importers.sandbox import read_checkpoint
from storage import decoders
from storage.errors import EditqError

ROOT, OUT = Path(__file__).resolve().parents[2], Path("fuzz-out")
LONGEST_S, MOST_BYTES, COVERED = 10.0, 1 << 30, 3000


def fuzz(name: str, runs: int, seed: int, sandbox: bool, measured: coverage.Coverage) -> int:
    """How many failures there were."""
    entry, dice = ENTRIES[name](), random.Random(seed)
    counts: collections.Counter[str] = collections.Counter()
    past, slowest_s, failures = 0, 0.0, 0
    before, began = _memory(), time.monotonic()
    for run in range(runs):
        if run == COVERED:
            measured.stop()
        data = entry.make(dice, dice.choice(entry.whole))
        past += entry.past_header(data)
        since = time.monotonic()
        told = _sandboxed(name, entry, data) if sandbox else _read(entry, data)
        slowest_s = max(slowest_s, time.monotonic() - since)
        counts[told.partition(":")[0]] += 1
        if told.startswith("!") or time.monotonic() - since > LONGEST_S:
            failures += 1
            _keep(name, run, data, told)
    measured.stop()
    grown = _memory() - before
    failures += grown > MOST_BYTES
    share = measured.report(include=[str(ROOT / each) for each in entry.files], file=io.StringIO())
    measured.start()
    print(
        f"{name}{' (sandbox)' if sandbox else ''}: {runs} inputs, {100 * past / runs:.0f} % past the header, "
        f"{failures} failures, slowest {slowest_s:.2f} s, {grown >> 20} MiB more memory, "
        f"{share:.0f} % of {', '.join(entry.files)} covered (first {min(runs, COVERED)}), "
        f"{time.monotonic() - began:.0f} s",
        f"  {dict(counts.most_common(12))}", sep="\n", flush=True,
    )  # fmt: skip
    return failures


def _read(entry: Entry, data: bytes) -> str:
    try:
        entry.read(data)
    except entry.refusals as refusal:
        return text_of(refusal)
    except Exception as error:  # noqa: BLE001
        return f"! {text_of(error)}"
    return "read"


def _sandboxed(name: str, entry: Entry, data: bytes) -> str:
    """What came of it there: the same as here, or it is a failure."""
    here = _read(entry, data)
    there, same = (
        _checkpoint_there(data, here) if name == "importer" else _picture_there(name, entry, data, here)
    )
    return there if same else f"! {there} (here {here})"


def _checkpoint_there(data: bytes, here: str) -> tuple[str, bool]:
    """What is refused for memory, for being empty, or for values that are no numbers, is so there alone."""
    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        file.write(data)
        file.flush()
        try:
            read_checkpoint(Path(file.name), LIMITS)
            there = "read"
        except CheckpointRefused as refusal:
            there = text_of(refusal)
    kind, ours = there.partition(":")[0], here.partition(":")[0]
    later = {"read": ("LayoutMismatch", "LimitExceeded"), "MemoryError": ("LimitExceeded",)}
    return there, kind == ours or kind in later.get(ours, ()) or (not data and kind == "DamagedFile")


def _picture_there(name: str, entry: Entry, data: bytes, here: str) -> tuple[str, bool]:
    decode = {"picture": decoders.decode_picture, "mask": decoders.decode_mask}[name]
    try:
        found = decode(data, MAX_PIXELS)
    except EditqError as refusal:
        there = text_of(refusal)
        return there, there.partition(":")[0] == here.partition(":")[0]
    return "read", here == "read" and np.array_equal(found, entry.read(data))


def _memory() -> int:
    """The most that this process had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _keep(name: str, run: int, data: bytes, told: str) -> None:
    OUT.mkdir(exist_ok=True)
    (OUT / f"{name}-{run}").write_bytes(data)
    print(f"{name} {run}: {told}", flush=True)
