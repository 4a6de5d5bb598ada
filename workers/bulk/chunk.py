"""chunk: so many items of a batch, through one pipelined loop.

    items -> read and decode ahead -> the operation, many at once -> encode and write behind -> ledger.jsonl

A result that is there already is taken over, so a chunk that is done again after its worker was killed does
only what is left. What is wrong with an item is told of in its line, and never ends the chunk.
"""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gpu_ops.progress import Progress, State, Steps
from storage.batch_records import Batch, Chunk
from storage.batch_specs import BatchSpec, how_of, read_batch_spec
from storage.errors import StorageUnavailable
from storage.plain import plain
from storage.results import Found, Results
from storage.sources import Source
from storage.version import code_version
from workers.attempt import Attempt, Saved
from workers.bulk.items import read_items
from workers.bulk.operation import Made, Operation, Stepped
from workers.bulk.pieces import Fault, Piece, Reader, There
from workers.bulk.pipeline import Behind, Stopwatch, ahead
from workers.bulk.reading import bucket_of
from workers.recipe import Recipe

LEDGER, LINES = "ledger.jsonl", "application/jsonl"
READERS, READ_AHEAD = 2, 64
WRITERS, WRITTEN_BEHIND = 2, 64
SHOWN, PICTURES = 8, ("picture_", "edited.", "inverted.")
OperationOf = Callable[[Attempt, BatchSpec, Results], tuple[Operation, int, str]]
"""The operation of a batch's spec, the side in pixels of what it works on, and its model's digest."""


@dataclass
class Ledger:
    """What became of each item: a line of the chunk's ledger, by the item's place in it."""

    items: list[dict[str, Any]]
    lines: dict[int, dict[str, Any]] = field(default_factory=dict)
    reused: int = 0
    results_bytes: int = 0
    device_s: float = 0.0

    @property
    def done(self) -> int:
        return len(self.lines)

    def succeeded(
        self, index: int, digest: str, found: Found, *, needs: tuple[str, ...] = (), reused: bool = False
    ) -> None:
        told = {"result": digest, "files": list(found.files), "figures": found.figures, "reused": reused}
        self._tell(index, "succeeded", told | ({"needs": list(needs)} if needs else {}))
        self.reused += reused

    def kept(self, made: Made, files: tuple[str, ...], byte_size: int) -> None:
        """Of a result that was written; one that only serves another item counts too."""
        self.results_bytes += byte_size
        if made.index is not None:
            self.succeeded(made.index, made.digest, Found(files, dict(made.figures)), needs=made.needs)

    def failed(self, fault: Fault) -> None:
        self._tell(fault.index, "failed", {"error": fault.error.as_dict()})

    def _newest(self) -> list[dict[str, Any]]:
        """The items that were done last, for whoever watches: id, result, and a picture of it."""
        done = [line for line in self.lines.values() if line["status"] == "succeeded"]
        return [
            {"id": line["id"], "result": line["result"], "file": shown[-1]}
            for line in done[-SHOWN:]
            if (shown := [name for name in line["files"] if name.startswith(PICTURES)])
        ]

    def _tell(self, index: int, status: str, told: dict[str, Any]) -> None:
        item = self.items[index]
        self.lines[index] = {"id": item["id"], "n": item["n"], "status": status, **told, "item": item}

    def outcome(self) -> dict[str, Any]:
        """What the chunk's row keeps: see storage/batch_course.py."""
        errors: dict[str, int] = {}
        for line in self.lines.values():
            if line["status"] == "failed":
                code = line["error"]["code"]
                errors[code] = errors.get(code, 0) + 1
        failed = sum(errors.values())
        return {
            "items": len(self.items),
            "succeeded": self.done - failed,
            "failed": failed,
            "canceled": len(self.items) - self.done,
            "reused": self.reused,
            "results_bytes": self.results_bytes,
            "device_s": round(self.device_s, 4),
            "errors": errors,
            "newest": self._newest(),
        }


@dataclass(frozen=True)
class ChunkTask:
    batch: Batch
    spec: BatchSpec
    chunk: Chunk
    items: list[dict[str, Any]]
    operation: Operation
    reader: Reader
    results: Results
    about: dict[str, Any]
    place: Source | None
    prefix: str


def recipe_of(operation_of: OperationOf) -> Recipe[ChunkTask, Ledger]:
    def load(attempt: Attempt) -> ChunkTask:
        return load_chunk(attempt, operation_of)

    return Recipe(load, operate, save)


def load_chunk(attempt: Attempt, operation_of: OperationOf) -> ChunkTask:
    stores, tenant_id, settings = attempt.stores, attempt.job.tenant_id, attempt.models.settings
    batch = stores.batches.get(tenant_id, attempt.job.spec["batch"])
    chunk = stores.batches.chunk(batch.id, attempt.job.spec["chunk"])
    spec, items = read_batch_spec(batch.spec), read_items(batch, chunk, stores)
    results = Results(stores.objects, tenant_id)
    operation, size_px, model_digest = operation_of(attempt, spec, results)
    keyed = any("key" in item for item in items)
    reader = Reader(
        stores.objects,
        stores.sources.open(tenant_id, bucket_of(spec), field="inputs.bucket") if keyed else None,
        results,
        operation.digest_of,
        operation.known,
        size_px,
        settings.max_picture_bytes,
        settings.max_picture_pixels,
        reuse=how_of(spec).reuse or attempt.job.attempt > 1,  # a chunk that is done again goes on
    )
    about = {"spec": batch.spec["spec"], "model_digest": model_digest, "code_version": code_version()}
    place, prefix = None, ""
    if spec.output is not None:
        place = stores.sources.open(tenant_id, spec.output.bucket, field="output.bucket", writing=True)
        prefix = spec.output.prefix.strip("/") + "/" if spec.output.prefix.strip("/") else ""
    return ChunkTask(batch, spec, chunk, items, operation, reader, results, about, place, prefix)


def operate(task: ChunkTask, _resume: State | None) -> Steps[Ledger]:
    """What an earlier attempt did lies in the results already."""
    ledger, watch, began = Ledger(task.items), Stopwatch(), time.perf_counter()
    with ThreadPoolExecutor(READERS) as readers, ThreadPoolExecutor(WRITERS) as writers:
        behind: Behind[Callable[[], None]] = Behind(writers, most=WRITTEN_BEHIND, watch=watch)
        pieces = _pieces(task, ledger, behind, readers, watch)
        with closing(task.operation.run(pieces)) as events:
            for event in events:
                for note in _heed(task, ledger, behind, event):
                    note()
                enough = yield _progress(task, ledger, event)
                if enough:
                    break
        for note in behind.rest():
            note()
    ledger.device_s = time.perf_counter() - began - watch.waited_s
    yield _progress(task, ledger, None)
    return ledger


def _pieces(
    task: ChunkTask,
    ledger: Ledger,
    behind: Behind[Callable[[], None]],
    readers: ThreadPoolExecutor,
    watch: Stopwatch,
) -> Iterator[Piece]:
    """Those of the items that are to be done; what became of the others goes into the ledger."""
    for read in ahead(readers, task.reader.read, enumerate(task.items), most=READ_AHEAD, watch=watch):
        match read:
            case Piece():
                yield read
            case Fault():
                ledger.failed(read)
            case There(index=index, digest=digest, found=found):
                ledger.succeeded(index, digest, found, reused=True)
                if task.place is not None:
                    for note in behind.submit(partial(_copied, task, read)):
                        note()


def _heed(
    task: ChunkTask, ledger: Ledger, behind: Behind[Callable[[], None]], event: Made | Fault | Stepped
) -> Iterator[Callable[[], None]]:
    """Notes for the ledger, made in the loop's own thread."""
    match event:
        case Fault():
            ledger.failed(event)
        case Made():
            yield from behind.submit(partial(_written, task, ledger, event))
    yield from behind.done()


def _written(task: ChunkTask, ledger: Ledger, made: Made) -> Callable[[], None]:
    """Keep a result, in a writer's thread; the note that it is kept."""
    files = made.encode()
    seed = None if made.index is None else task.items[made.index].get("seed")
    about = {**task.about, "seed": seed, "figures": dict(made.figures)}
    byte_size = task.results.put(made.digest, files, about)
    if made.index is not None:
        _sent(task, made.index, files)
    return partial(ledger.kept, made, tuple(sorted(files)), byte_size)


def _copied(task: ChunkTask, there: There) -> Callable[[], None]:
    files = {name: task.results.read(there.digest, name) or b"" for name in there.found.files}
    _sent(task, there.index, files)
    return lambda: None


def _sent(task: ChunkTask, index: int, files: Any) -> None:
    """Write an item's files where the caller wants them too."""
    if task.place is not None:
        for name, data in files.items():
            task.place.write(f"{task.prefix}{task.items[index]['id']}/{name}", data)


def _progress(task: ChunkTask, ledger: Ledger, event: Made | Fault | Stepped | None) -> Progress:
    losses = dict(event.losses) if isinstance(event, Stepped) else {}
    return Progress(ledger.done, len(task.items), losses, state=dict)  # results are kept already


def save(attempt: Attempt, task: ChunkTask, ledger: Ledger) -> Saved:
    """Raises StorageUnavailable where a result that was taken over is being removed: done again then."""
    taken = {line["result"] for line in ledger.lines.values() if line.get("reused")}
    taken |= {digest for line in ledger.lines.values() for digest in line.get("needs", ())}
    if taken:
        condemned = attempt.stores.retention.spare([task.results.key(digest) for digest in taken])
        if condemned:
            raise StorageUnavailable("A result that was there is being removed as garbage.")
    lines = (json.dumps(plain(ledger.lines[index])) for index in sorted(ledger.lines))
    attempt.put(LEDGER, "".join(f"{line}\n" for line in lines).encode(), LINES)
    return Saved(attempt.outputs, ledger.outcome())
