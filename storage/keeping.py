"""What a job leaves in the library, written in the transaction that ends it."""

from typing import Any

from sqlalchemy import ColumnElement, Connection

from storage.batch_rows import write_chunks
from storage.library import write_model
from storage.library_records import Inversion, Kept, Model, Vector
from storage.marks import unmark
from storage.records import SYSTEM_TENANT, Job, ObjectRef
from storage.vectors import write_inversion, write_vector


def keep(connection: Connection, into: Any, now: ColumnElement[float], job: Job, kept: Kept) -> None:
    """`into`: the dialect's INSERT. Raises ValueError; StorageUnavailable where an object is condemned."""
    refuse_others(job, kept)
    unmark(connection, into, now, [ref.key for ref in objects_of(kept)])
    for vector in kept.vectors:
        write_vector(connection, into, now, vector)
    for model in kept.models:
        write_model(connection, into, now, model)
    for inversion in kept.inversions:
        write_inversion(connection, into, now, inversion)
    write_chunks(connection, kept.chunks)


def refuse_others(job: Job, kept: Kept) -> None:
    """A job writes records of its own tenant alone, and none of the system's. Raises ValueError."""
    for tenant_id in (record.tenant_id for record in _records(kept)):
        if tenant_id != job.tenant_id or tenant_id == SYSTEM_TENANT:
            raise ValueError(f"a job of {job.tenant_id} keeps a record of {tenant_id}")
    if any(chunk.batch_id != job.batch_id for chunk in kept.chunks):
        raise ValueError(f"a job of batch {job.batch_id} keeps chunks of another")


def objects_of(kept: Kept) -> list[ObjectRef]:
    """All that the records name."""
    return [ref for record in _records(kept) for ref in record.files.values()]


def _records(kept: Kept) -> tuple[Vector | Model | Inversion, ...]:
    return (*kept.vectors, *kept.models, *kept.inversions)
