"""What the database is asked by a running job: a renewal, a checkpoint's pointer, a claim with its end.

    PYTHONPATH=tests OMP_NUM_THREADS=1 python tests/benchmarks/database_writes.py 200

Prints, for each write over PostgreSQL (without fsync), the processor time of its process and of ours:
unlike time by the clock, these hardly depend on what else the machine does.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import servers
from sqlalchemy import text

from storage.database import Database
from storage.jobs import SqlJobs
from storage.migrate import migrate
from storage.objects import checkpoint_key
from storage.records import ObjectRef

WAITING = 300


def main(count: int) -> None:
    with servers.postgres_cluster() as url:
        migrate(url)
        database = Database(url)
        jobs = SqlJobs(database)
        for _ in range(WAITING):
            jobs.add("local", "sample", {"kind": "sample"})
        claim = jobs.claim("gpu", "w:1:gpu", lease_s=6000)
        assert claim is not None
        key = checkpoint_key("local", claim.job.id, 1, 7)
        checkpoint = ObjectRef(key, "a" * 64, 1, "application/octet-stream")
        show("renewal", count, database, lambda: jobs.renew(claim, lease_s=6000))
        show("checkpoint's pointer", count, database, lambda: jobs.checkpointed(claim, checkpoint))
        show("claim and success", count, database, lambda: one_job(jobs))
        database.close()


def one_job(jobs: SqlJobs) -> None:
    claim = jobs.claim("gpu", "w:2:gpu", lease_s=60)
    assert claim is not None
    jobs.succeed(claim, {}, {})


def show(what: str, count: int, database: Database, write: Callable[[], object]) -> None:
    with database.read() as connection:  # one after another, all writes go through this one connection
        backend = int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
    theirs, ours = cpu_s(backend), time.process_time()
    for _ in range(count):
        write()
    theirs, ours = cpu_s(backend) - theirs, time.process_time() - ours
    each = f"{theirs / count * 1e3:.2f} ms of PostgreSQL's CPU, {ours / count * 1e3:.2f} ms of ours"
    print(f"{what}: {each} (N {count})", flush=True)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
