"""validate_batch: read a batch's inputs, refuse what is wrong with them line by line, and cut the rest into
chunks. Done by housekeeping's workers: no torch.

Two passes. The first one reads the inputs as a stream, into a temporary file. Then keys are looked up, all
together, against a listing of where they lie; ids and keys are held as 64 bits each. The second pass writes
the valid items, and where each chunk of them begins.
"""

import hashlib
import json
import tempfile
from array import array
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from gpu_ops.progress import Progress, State, Steps
from storage.batch_records import Batch, Chunk
from storage.batch_specs import BatchSpec, read_batch_spec
from storage.errors import EditqError, TooManyItems
from storage.library_records import Kept
from storage.limit_records import Limit
from storage.manifests import Entry, Refused
from storage.settings import Settings
from storage.stores import Stores
from workers.attempt import Attempt, Saved
from workers.bulk.labelled import check_size
from workers.bulk.reading import bucket_of, read_inputs
from workers.recipe import Recipe

TOLD_EVERY = 2_000
LINES = "application/jsonl"
MOST_CHUNKS = 100_000
SHOWN = 300  # bytes of a refused line
Flags = npt.NDArray[np.bool_]
_ENCODER = json.JSONEncoder(separators=(",", ":"))


@dataclass
class Reading:
    """What was read so far. candidates: entries, one a line; invalid: what was refused.

    ids, keys   64 bits of each candidate's id, and of its key (0: it has none)
    common      what all keys begin with
    """

    batch: Batch
    spec: BatchSpec
    stores: Stores
    chunk_items: int
    candidates: BinaryIO
    invalid: BinaryIO
    items: BinaryIO
    ids: "array[int]" = field(default_factory=lambda: array("Q"))
    keys: "array[int]" = field(default_factory=lambda: array("Q"))
    common: str | None = None
    refused: int = 0
    chunks: list[Chunk] = field(default_factory=list)

    def take(self, entry: Entry) -> None:
        self.candidates.write(_ENCODER.encode(entry).encode() + b"\n")
        self.ids.append(short(entry["id"]))
        key = entry.get("key")
        self.keys.append(0 if key is None else short(key))
        if key is not None:
            self.common = key if self.common is None else _beginning(self.common, key)

    def refuse(self, number: int, line: bytes, error: EditqError) -> None:
        told = {"n": number, "error": error.as_dict(), "line": line[:SHOWN].decode("utf-8", "replace")}
        self.invalid.write(json.dumps(told).encode() + b"\n")
        self.refused += 1


def short(text: str) -> int:
    """64 bits, not 0, that stand for a text among millions of others, in this process alone."""
    return hash(text) & (2**64 - 1) or 1


def _beginning(one: str, other: str) -> str:
    """What both begin with, letter by letter."""
    if other.startswith(one):
        return one
    alike = next(
        (i for i, (mine, its) in enumerate(zip(one, other, strict=False)) if mine != its), len(other)
    )
    return one[:alike]


def load(attempt: Attempt) -> Reading:
    batch = attempt.stores.batches.get(attempt.job.tenant_id, attempt.job.spec["batch"])
    files = [tempfile.TemporaryFile() for _ in range(3)]  # noqa: SIM115  they live as long as the reading
    spec = read_batch_spec(batch.spec)
    return Reading(batch, spec, attempt.stores, chunk_items_of(spec, Settings()), *files)  # type: ignore[arg-type]


def chunk_items_of(spec: BatchSpec, settings: Settings) -> int:
    """A chunk is a minute or so of work: many items where each is one forward pass, else few."""
    if settings.chunk_items:
        return settings.chunk_items
    quick = spec.wanted.kind == "apply" and spec.wanted.way == "vector"
    return 256 if quick else 32


def operate(reading: Reading, _resume: State | None) -> Steps[Reading]:
    """A reading that was cut off starts over. Raises TooManyItems."""
    count, most = 0, reading.stores.limits.of(reading.batch.tenant_id)[Limit.BATCH_ITEMS]
    for number, line, entry in read_inputs(reading.spec, reading.batch.tenant_id, reading.stores):
        if isinstance(entry, EditqError):
            reading.refuse(number, line, entry)
        else:
            reading.take(entry)
        count += 1
        if 0 < most < count:
            text = f"A batch of yours may have {most:.0f} items."
            raise TooManyItems(text, field="inputs", expected="several batches")
        if count % TOLD_EVERY == 0:
            yield Progress(count, 2 * count)
    yield Progress(count, 2 * count + 1)
    there = yield from _looked_up(reading, count)
    first = _first_of_each(np.frombuffer(reading.ids, np.uint64))
    yield from _cut(reading, there, first, count)
    return reading


def _looked_up(reading: Reading, count: int) -> Generator[Progress, bool | None, Flags]:
    """Which candidates' keys are there, by one listing."""
    keys = np.frombuffer(reading.keys, np.uint64)
    if reading.common is None:
        return np.ones(len(keys), np.bool_)
    source = reading.stores.sources.open(
        reading.batch.tenant_id, bucket_of(reading.spec), field="inputs.bucket"
    )
    listed = array("Q")
    for index, key in enumerate(source.list(reading.common)):
        listed.append(short(key))
        if index % TOLD_EVERY == 0:
            yield Progress(count, 2 * count + 1)
    found: Flags = np.isin(keys, np.frombuffer(listed, np.uint64)) | (keys == 0)
    return found


def _first_of_each(ids: npt.NDArray[np.uint64]) -> Flags:
    first = np.zeros(len(ids), np.bool_)
    first[np.unique(ids, return_index=True)[1]] = True
    return first


def _cut(reading: Reading, there: Flags, first: Flags, count: int) -> Steps[None]:
    """Write the items that are valid, chunk by chunk."""
    reading.candidates.seek(0)
    size = max(reading.chunk_items, -(-len(there) // MOST_CHUNKS))
    pending: list[bytes] = []
    for index, line in enumerate(reading.candidates):
        if there[index] and first[index]:
            pending.append(line)
            if len(pending) == size:
                _close_chunk(reading, pending)
        else:
            entry = json.loads(line)
            what = ("id", "another line has this id") if there[index] else ("key", "there is no such object")
            error = Refused(f"{entry[what[0]]}: {what[1]}.", field=what[0])
            reading.refuse(entry["n"], line.strip(), error)
        if index % TOLD_EVERY == 0:
            yield Progress(count + index, 2 * count + 1)
    if pending:
        _close_chunk(reading, pending)


def _close_chunk(reading: Reading, lines: list[bytes]) -> None:
    data = b"".join(lines)
    start = reading.items.tell()
    reading.items.write(data)
    number, digest = len(reading.chunks), hashlib.sha256(data).hexdigest()
    reading.chunks.append(Chunk(reading.batch.id, number, start, len(data), digest, len(lines)))
    lines.clear()


def save(attempt: Attempt, reading: Reading, _result: Reading) -> Saved:
    with ExitStack() as closing:
        for name in ("items", "invalid"):
            file: BinaryIO = closing.enter_context(getattr(reading, name))
            file.seek(0)
            attempt.put(f"{name}.jsonl", file, LINES)
        reading.candidates.close()
    items = sum(chunk.items for chunk in reading.chunks)
    check_size(reading.spec, items)
    counts = {"items": items, "invalid": reading.refused, "chunks": len(reading.chunks)}
    facts: dict[str, object] = {**counts, "estimate": estimate(attempt.stores, reading.spec, items)}
    return Saved(attempt.outputs, facts, Kept(chunks=tuple(reading.chunks)))


def estimate(stores: Stores, spec: BatchSpec, items: int) -> dict[str, Any] | None:
    """From the speed of such batches before; None where there was none."""
    wanted = spec.wanted
    measured = stores.batches.speed(wanted.kind, wanted.model)
    if measured is None:
        return None
    done, device_s = measured
    each_s = device_s / done
    return {
        "device_s": round(items * each_s, 1),
        "device_s_per_item": round(each_s, 4),
        "measured_items": done,
    }


RECIPE = Recipe(load, operate, save)
