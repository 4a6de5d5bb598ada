"""The stores that share a database, in each backend."""

from dataclasses import dataclass

from servers import S3Server

from storage.access import Keys, Limits
from storage.batch_stores import Batches
from storage.batches import SqlBatches
from storage.database import Database
from storage.jobs import SqlJobs
from storage.keys import SqlKeys
from storage.library import SqlLibrary
from storage.limits import SqlLimits
from storage.locks import SqlLocks
from storage.memory import MemoryLibrary, MemoryLocks
from storage.memory_batches import MemoryBatches
from storage.memory_jobs import MemoryJobs
from storage.memory_keys import MemoryKeys
from storage.memory_limits import MemoryLimits
from storage.memory_outbox import MemoryOutbox
from storage.memory_retention import MemoryRetention
from storage.outbox import SqlOutbox
from storage.retention import SqlRetention
from storage.s3 import S3Objects
from storage.stores import Jobs, Library, Locks
from storage.upkeep import Outbox, Retention


@dataclass
class Records:
    """The stores that share a database; None: in memory."""

    database: Database | None
    jobs: Jobs
    library: Library
    locks: Locks
    outbox: Outbox
    retention: Retention
    batches: Batches
    keys: Keys
    limits: Limits


def memory_records() -> Records:
    jobs = MemoryJobs()
    library = MemoryLibrary(jobs)
    batches = MemoryBatches(jobs)
    outbox, retention = MemoryOutbox(jobs), MemoryRetention(jobs, library, batches)
    return Records(
        None,
        jobs,
        library,
        MemoryLocks(),
        outbox,
        retention,
        batches,
        MemoryKeys(),
        MemoryLimits(jobs, library),
    )


def sql_records(database: Database) -> Records:
    jobs = SqlJobs(database)
    return Records(
        database,
        jobs,
        SqlLibrary(database),
        SqlLocks(database),
        SqlOutbox(database),
        SqlRetention(database),
        SqlBatches(database, jobs),
        SqlKeys(database),
        SqlLimits(database),
    )


def s3_objects(server: S3Server, bucket: str) -> S3Objects:
    return S3Objects(
        bucket,
        endpoint=server.endpoint,
        region=server.region,
        prefix="some/folder/",
        path_style=True,
        access_key=server.access_key,
        secret_key=server.secret_key,
        part_bytes=5 << 20,  # the smallest that S3 allows
    )
