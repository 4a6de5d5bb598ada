"""What the rows of a batch take: bytes of a chunk that waits, and of one that was done; chunks a second.

    PYTHONPATH=tests python tests/benchmarks/batch_rows.py [CHUNKS]

The real stores, over SQLite and PostgreSQL, and no worker: each chunk is claimed, leaves a file and succeeds,
as fast as rows can be written. Bytes are the growth of the database, indexes and events with it.
"""

import sys
import tempfile
import time
from pathlib import Path

import servers
from sqlalchemy import text

from storage.batch_records import Chunk
from storage.library_records import Kept
from storage.migrate import migrate
from storage.objects import output_key
from storage.settings import Settings
from storage.stores import Stores, open_stores

ITEMS = 256
SPEC = {
    "spec": {"kind": "apply", "model": "cars", "vectors": [{"vector": "0" * 32, "strength": 1.0}]},
    "inputs": {"type": "tar", "files": ["0" * 32]},
}
NEWEST = [{"id": f"lot/{n:06d}.png", "result": "ab" * 32, "file": "picture_00.png"} for n in range(8)]
DONE = {
    "items": ITEMS, "succeeded": ITEMS - 1, "failed": 1, "canceled": 0, "reused": 0, "device_s": 1.5,
    "seconds": 2.0, "errors": {"unreadable_picture": 1}, "newest": NEWEST,
}  # fmt: skip


def byte_size(stores: Stores, settings: Settings) -> int:
    with stores.jobs._database.write() as connection:  # type: ignore[attr-defined]
        if settings.database_url.startswith("postgresql"):
            return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
    with stores.jobs._database.read() as connection:  # type: ignore[attr-defined]
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        return int(pages) * int(connection.execute(text("PRAGMA page_size")).scalar_one())


def measure(settings: Settings, chunks: int) -> str:
    migrate(settings.database_url)
    stores = open_stores(settings)
    batch = stores.batches.add("local", SPEC)
    empty = byte_size(stores, settings)
    claim = stores.jobs.claim("cpu", "host:1:cpu", lease_s=60)
    assert claim is not None
    ref = stores.objects.put(output_key("local", claim.job.id, 1, "items.jsonl"), b"x", "application/jsonl")
    made = tuple(Chunk(batch.id, n, n * 20_000, 20_000, "c" * 64, ITEMS) for n in range(chunks))
    counts = {"items": chunks * ITEMS, "invalid": 0, "chunks": chunks, "estimate": None}
    stores.jobs.succeed(claim, {"items.jsonl": ref}, counts, kept=Kept(chunks=made))
    waiting, began = byte_size(stores, settings), time.monotonic()
    while (claim := stores.jobs.claim("gpu", "host:1:gpu", lease_s=60)) is not None:
        key = output_key("local", claim.job.id, 1, "ledger.jsonl")
        stores.jobs.succeed(claim, {"ledger.jsonl": stores.objects.put(key, b"x", "application/jsonl")}, DONE)
    each_s = (time.monotonic() - began) / chunks
    done = byte_size(stores, settings)
    return (
        f"{(waiting - empty) / chunks:.0f} bytes a chunk that waits, {(done - empty) / chunks:.0f} a chunk "
        f"that was done; {1 / each_s:.0f} chunks a second"
    )


def main() -> None:
    chunks = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        print("SQLite:", measure(Settings(data_dir=Path(folder)), chunks))
    with tempfile.TemporaryDirectory() as folder, servers.postgres_cluster() as url:
        print("PostgreSQL:", measure(Settings(data_dir=Path(folder), database_url=url), chunks))


if __name__ == "__main__":
    main()
