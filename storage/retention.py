"""What is no longer needed: SQLite and PostgreSQL. Marks of objects are rows, locked by whoever decides.

A key that was condemned is left to its collector for CONDEMNED_FOR_S: far longer than a removal takes. After
that the collector must have died, and another may condemn it once more. So no two remove the same object at
once, and an object is not removed late, when an upload may have put it there again.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    and_,
    cast,
    delete,
    exists,
    func,
    not_,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from storage.batch_tables import BATCHES
from storage.database import Database
from storage.errors import JobInUse, JobNotEnded, JobNotFound
from storage.file_tables import FILES
from storage.library_tables import INVERSION_OBJECTS, INVERSIONS, VECTOR_OBJECTS
from storage.objects import attempt_prefix, job_of_key, of_scheme
from storage.records import Job, Status
from storage.rows import job_of, open_job_naming
from storage.tables import DELIVERIES, IDEMPOTENCY_KEYS, IMAGES, JOBS, MARKS, MODELS, USAGE
from storage.usage import DAY_S

CONDEMNED_FOR_S = 600.0
NAMING_SEVERAL = ("apply", "learn_vector")
_ENDED = [status.value for status in Status if status.ended]


class SqlRetention:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._now = database.now
        self._insert: Any = sqlite.insert if database.engine.dialect.name == "sqlite" else postgresql.insert

    def expire_outputs(self, *, kept_s: float, limit: int = 100) -> tuple[Job, ...]:
        expired = and_(
            JOBS.c.status == Status.SUCCEEDED.value,
            JOBS.c.batch_id.is_(None),
            JOBS.c.outputs_expired_at.is_(None),
            JOBS.c.ended_at + func.coalesce(JOBS.c.keep_s, kept_s) <= self._now,
            _no_open_job_starts_from_it(),
        )
        query = select(JOBS).where(expired).order_by(JOBS.c.ended_at).limit(limit)
        with self._database.write() as connection:
            rows = connection.execute(query.with_for_update(skip_locked=True)).all()
            values = {
                "outputs": {},
                "outputs_bytes": 0,
                "outputs_expired_at": self._now,
                "updated_at": self._now,
            }
            these = JOBS.c.id.in_([row.id for row in rows])
            connection.execute(update(JOBS).where(these).values(values))
        return tuple(map(job_of, rows))

    def purge_jobs(self, *, kept_s: float, limit: int = 100) -> int:
        old = and_(
            JOBS.c.status.in_(_ENDED),
            JOBS.c.batch_id.is_(None),
            JOBS.c.ended_at + kept_s <= self._now,
            JOBS.c.ended_at + func.coalesce(JOBS.c.keep_s, 0.0) <= self._now,
            _no_open_job_starts_from_it(),
            not_(exists().where(DELIVERIES.c.job_id == JOBS.c.id, DELIVERIES.c.status == "pending")),
        )
        query = select(JOBS.c.id).where(old).order_by(JOBS.c.ended_at).limit(limit)
        with self._database.write() as connection:
            ids = connection.execute(query.with_for_update(skip_locked=True)).scalars().all()
            connection.execute(delete(JOBS).where(JOBS.c.id.in_(ids)))
        return len(ids)

    def expire_batches(self, *, kept_s: float, limit: int = 10) -> tuple[str, ...]:
        late = BATCHES.c.ended_at + func.coalesce(BATCHES.c.keep_s, kept_s) <= self._now
        query = select(BATCHES.c.id).where(BATCHES.c.outputs_expired_at.is_(None), late)
        query = query.order_by(BATCHES.c.ended_at).limit(limit).with_for_update(skip_locked=True)
        gone = {"outputs_expired_at": self._now, "updated_at": self._now}
        with self._database.write() as connection:
            ids = connection.execute(query).scalars().all()
            left = and_(JOBS.c.batch_id.in_(ids), JOBS.c.status == Status.SUCCEEDED.value)
            outputs = connection.execute(select(JOBS.c.outputs).where(left)).scalars().all()
            connection.execute(update(JOBS).where(left).values(gone | {"outputs": {}, "outputs_bytes": 0}))
            connection.execute(update(BATCHES).where(BATCHES.c.id.in_(ids)).values(gone | {"files": {}}))
        return tuple(ref["key"] for named in outputs for ref in (named or {}).values())

    def purge_batches(self, *, kept_s: float, limit: int = 10) -> int:
        late = and_(
            BATCHES.c.outputs_expired_at.is_not(None),
            BATCHES.c.ended_at + kept_s <= self._now,
            BATCHES.c.ended_at + func.coalesce(BATCHES.c.keep_s, 0.0) <= self._now,
        )
        query = select(BATCHES.c.id).where(late).order_by(BATCHES.c.ended_at).limit(limit)
        with self._database.write() as connection:
            ids = connection.execute(query.with_for_update(skip_locked=True)).scalars().all()
            connection.execute(delete(JOBS).where(JOBS.c.batch_id.in_(ids)))
            connection.execute(delete(BATCHES).where(BATCHES.c.id.in_(ids)))
        return len(ids)

    def delete_job(self, tenant_id: str, job_id: str) -> Job:
        mine = and_(JOBS.c.id == job_id, JOBS.c.tenant_id == tenant_id)
        with self._database.write() as connection:
            row = connection.execute(select(JOBS).where(mine).with_for_update()).one_or_none()
            if row is None:
                raise JobNotFound(f"There is no job {job_id}.")
            job = job_of(row)
            refuse_needed(job, open_job_naming(connection, job_id, tenant_id))
            connection.execute(delete(INVERSIONS).where(INVERSIONS.c.job_id == job_id))
            connection.execute(delete(JOBS).where(mine))
        return job

    def purge_keys(self, *, kept_s: float) -> int:
        old = IDEMPOTENCY_KEYS.c.created_at + kept_s <= self._now
        with self._database.write() as connection:
            return connection.execute(delete(IDEMPOTENCY_KEYS).where(old)).rowcount

    def purge_usage(self, *, kept_s: float) -> int:
        old = (USAGE.c.day + 1) * DAY_S + kept_s <= self._now
        with self._database.write() as connection:
            return connection.execute(delete(USAGE).where(old)).rowcount

    def expire_inversions(self, *, kept_s: float, limit: int = 100) -> int:
        old = INVERSIONS.c.used_at + kept_s <= self._now
        query = select(INVERSIONS.c.tenant_id, INVERSIONS.c.digest).where(old)
        query = query.order_by(INVERSIONS.c.used_at).limit(limit).with_for_update(skip_locked=True)
        with self._database.write() as connection:
            these = [tuple(row) for row in connection.execute(query)]
            place = tuple_(INVERSIONS.c.tenant_id, INVERSIONS.c.digest)
            connection.execute(delete(INVERSIONS).where(place.in_(these)))
        return len(these)

    def unneeded(self, keys: Iterable[str]) -> frozenset[str]:
        with self._database.read() as connection:
            return _unneeded(connection, keys)

    def spare(self, keys: Iterable[str]) -> frozenset[str]:
        these = MARKS.c.key.in_(sorted(set(keys)))
        with self._database.write() as connection:
            connection.execute(delete(MARKS).where(these, not_(MARKS.c.condemned)))
            return frozenset(connection.execute(select(MARKS.c.key).where(these)).scalars())

    def mark(self, keys: Iterable[str]) -> None:
        rows = [{"key": key, "marked_at": self._now} for key in sorted(set(keys))]
        if rows:
            with self._database.write() as connection:
                connection.execute(self._insert(MARKS).values(rows).on_conflict_do_nothing())

    def marked(self, *, longer_than_s: float, limit: int = 1000) -> tuple[str, ...]:
        query = select(MARKS.c.key).where(MARKS.c.marked_at + longer_than_s <= self._now, self._free())
        with self._database.read() as connection:
            return tuple(connection.execute(query.order_by(MARKS.c.marked_at).limit(limit)).scalars())

    def condemn(self, keys: Iterable[str]) -> frozenset[str]:
        query = select(MARKS.c.key).where(MARKS.c.key.in_(list(keys)), self._free()).order_by(MARKS.c.key)
        with self._database.write() as connection:
            found = connection.execute(query.with_for_update()).scalars().all()
            condemned = _unneeded(connection, found)
            needed = [key for key in found if key not in condemned]
            connection.execute(delete(MARKS).where(MARKS.c.key.in_(needed)))
            values = {"condemned": True, "marked_at": self._now}
            connection.execute(update(MARKS).where(MARKS.c.key.in_(condemned)).values(values))
        return condemned

    def forget(self, keys: Iterable[str]) -> None:
        with self._database.write() as connection:
            connection.execute(delete(MARKS).where(MARKS.c.key.in_(list(keys))))

    def _free(self) -> ColumnElement[bool]:
        return or_(not_(MARKS.c.condemned), MARKS.c.marked_at + CONDEMNED_FOR_S <= self._now)


def refuse_needed(job: Job, other: str | None) -> None:
    """Raises JobNotEnded, or JobInUse where its batch or another job needs it."""
    if not job.status.ended:
        raise JobNotEnded(f"Job {job.id} is {job.status.value}: cancel it, and delete it once it has ended.")
    if job.batch_id is not None:
        raise JobInUse(f"Job {job.id} is of batch {job.batch_id}, and goes with it.")
    if other is not None:
        raise JobInUse(f"Job {other} has not ended and starts from this one.")


def needs(job: Job, key: str) -> bool:
    """Whether this job needs that object. Once it does not, it never will again: attempts only count up."""
    if key in (ref.key for ref in job.outputs.values()):
        return True
    if job.status.ended:
        return False
    if job.checkpoint is not None and job.checkpoint.key == key:
        return True
    mine = attempt_prefix(job.tenant_id, job.id, job.attempt)
    return job.status is Status.RUNNING and key.startswith(mine)


def _unneeded(connection: Connection, keys: Iterable[str]) -> frozenset[str]:
    judged = {key for key in keys if of_scheme(key)}
    ids = {job_id for key in judged if (job_id := job_of_key(key)) is not None}
    # Jobs first: what a job leaves to the library as it ends is seen as the one's or as the other's.
    jobs = {row.id: job_of(row) for row in connection.execute(select(JOBS).where(JOBS.c.id.in_(ids)))}
    files = connection.execute(select(MODELS.c.files)).scalars()
    needed = {ref["key"] for roles in files for ref in roles.values()}
    for keys_of in (IMAGES.c.key, FILES.c.key, VECTOR_OBJECTS.c.key, INVERSION_OBJECTS.c.key):
        needed.update(connection.execute(select(keys_of).where(keys_of.in_(judged))).scalars())
    return frozenset(key for key in judged - needed if not _needed_by_job(jobs, key))


def _needed_by_job(jobs: Mapping[str, Job], key: str) -> bool:
    job = jobs.get(job_of_key(key) or "")
    return job is not None and needs(job, key)


def _no_open_job_starts_from_it() -> ColumnElement[bool]:
    other = JOBS.alias()
    is_open = other.c.status.not_in(_ENDED)
    inversion = other.c.spec["inversion"].as_string()
    starting = select(inversion).where(is_open, inversion.is_not(None))
    # The kinds that name several, at whatever depth: few of them are open at a time.
    several = other.c.kind.in_(NAMING_SEVERAL)
    naming = exists().where(is_open, several, cast(other.c.spec, String).contains(JOBS.c.id))
    return and_(JOBS.c.id.not_in(starting), not_(naming))
