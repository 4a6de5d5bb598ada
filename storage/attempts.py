"""How attempts begin and succeed, each alone or several small ones together: SQLite and PostgreSQL.

A claim is one conditional UPDATE, and so is each success: a compare-and-set on (id, attempt, token) of a
running row. Together they are the same writes, in one transaction for all.
"""

import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, select

from storage import transitions
from storage.batch_rows import after_change, after_claim
from storage.claims import best, following, moment, served, taking, taking_these
from storage.database import Database
from storage.errors import LeaseLost
from storage.keeping import keep
from storage.library_records import NOTHING_KEPT, Ending, Kept
from storage.limit_records import NO_LIMITS, Limit
from storage.limits import Crowded, room_for
from storage.meters import count_claim
from storage.prepared import FromNow
from storage.queues import SqlQueues
from storage.records import Claim, Job, ObjectRef, Status
from storage.rows import Told, change_row, job_of, lost, tell
from storage.tables import JOBS
from storage.transitions import Change
from storage.usage import account

_CLAIM_TRIES = 5


class SqlAttempts(SqlQueues):
    def __init__(
        self, database: Database, *, ageing_s: float = 600.0, limits: Mapping[Limit, float] = NO_LIMITS
    ) -> None:
        super().__init__(database, ageing_s=ageing_s, limits=limits)
        self._best = best(moment(database.now), ageing_s, limits)  # made once: it takes longer than a claim
        self._taking, self._taking_these = taking(database.now), taking_these(database.now)
        self._following = following(database.now)

    def claim(self, queue: str, worker: str, *, lease_s: float, pid: int | None = None) -> Claim | None:
        claims = self.claim_together(queue, worker, lease_s=lease_s, pid=pid, most=lambda _kind: 1)
        return claims[0] if claims else None

    def claim_together(
        self,
        queue: str,
        worker: str,
        *,
        lease_s: float,
        pid: int | None = None,
        most: Callable[[str], int],
    ) -> tuple[Claim, ...]:
        token = secrets.token_hex(32)
        by = {"by_worker": worker, "by_process": pid, "for_s": lease_s, "new_token": token}
        for _ in range(_CLAIM_TRIES):
            with contextlib.suppress(Crowded):
                return self._claim(queue, worker, by, most)
        return ()

    def _claim(
        self, queue: str, worker: str, by: Mapping[str, Any], most: Callable[[str], int]
    ) -> tuple[Claim, ...]:
        with self._database.write() as connection:
            rows = self._take(connection, queue, worker, by, most)
            if not rows:
                return ()
            begun = [_begun(row) for row in rows]
            jobs = [told.job for told in begun]
            tell(connection, self._now, *begun)
            if jobs[0].batch_id is not None:
                after_claim(connection, self._now, jobs[0])
            served(connection, queue, jobs[0].tenant_id, self._now)  # last: claims share the turn's row
        for job in jobs:
            count_claim(job)
        return tuple(Claim(job, by["new_token"]) for job in jobs)

    def _take(
        self,
        connection: Connection,
        queue: str,
        worker: str,
        by: Mapping[str, Any],
        most: Callable[[str], int],
    ) -> list[Row[Any]]:
        """Of the best class of a tenant, the oldest row that no other claim is taking now, and what may
        go with it."""
        here = {"in_queue": queue}
        for head in connection.execute(self._best, here | {"by_worker": worker}).all():
            room = room_for(connection, queue, head.tenant_id, head.most)
            there = {**here, **by, "of_tenant": head.tenant_id, "of_class": head.priority}
            row = connection.execute(self._taking, there).one_or_none()
            if row is None:
                continue
            return [row, *self._company(connection, row, min(room, most(row.kind)) - 1, there)]
        return []

    def _company(
        self, connection: Connection, row: Row[Any], most: float, there: Mapping[str, Any]
    ) -> list[Row[Any]]:
        """What may go with a row that was taken, oldest first: of those that follow it, those of its kind
        that were never tried and are of no batch."""
        if most < 1 or row.attempt > 1 or row.batch_id is not None:
            return []
        others = connection.execute(self._following, {**there, "so_many": int(most)}).all()
        alike = (row.kind, 0, None)
        ids = [other.id for other in others if (other.kind, other.attempt, other.batch_id) == alike]
        if not ids:
            return []
        taken = connection.execute(self._taking_these, {**there, "ids": ids}).all()
        return sorted(taken, key=lambda other: (other.created_at, other.id))

    def succeed(
        self,
        claim: Claim,
        outputs: Mapping[str, ObjectRef],
        result: Mapping[str, Any],
        *,
        kept: Kept = NOTHING_KEPT,
    ) -> Job:
        (job,) = self.succeed_together([Ending(claim, outputs, result, kept)])
        if job is None:
            raise lost(claim)
        return job

    def succeed_together(self, endings: Sequence[Ending]) -> tuple[Job | None, ...]:
        with self._database.write() as connection:
            jobs = self._succeed(connection, endings)
        if None in jobs:
            return tuple(
                self._own_success(ending.claim) if job is None else job
                for ending, job in zip(endings, jobs, strict=True)
            )
        return tuple(jobs)

    def _succeed(self, connection: Connection, endings: Sequence[Ending]) -> list[Job | None]:
        """All rows, then what is told of them, then the sums, which others write too."""
        jobs: list[Job | None] = []
        events: list[Told] = []
        for ending in endings:
            claim, held_s = ending.claim, ending.held_s
            change = transitions.succeed(claim.job, FromNow(), ending.outputs, ending.result, held_s=held_s)
            try:
                job, told = self._written(connection, claim.job, change, claim=claim, kept=ending.kept)
            except LeaseLost:
                jobs.append(None)
            else:
                jobs.append(job)
                events.extend(told)
        tell(connection, self._now, *events)
        ended = [
            (ending.claim.job, job) for ending, job in zip(endings, jobs, strict=True) if job is not None
        ]
        account(connection, self._insert, *ended)
        return jobs

    def _own_success(self, claim: Claim) -> Job | None:
        """What this claim has succeeded with before, if the answer to that was lost."""
        own = and_(
            JOBS.c.id == claim.job.id,
            JOBS.c.attempt == claim.job.attempt,
            JOBS.c.ended_token == claim.token,
            JOBS.c.status == Status.SUCCEEDED.value,
        )
        with self._database.read() as connection:
            row = connection.execute(select(JOBS).where(own)).one_or_none()
        return None if row is None else job_of(row)

    def _apply(self, connection: Connection, job: Job, change: Change, *, claim: Claim | None = None) -> Job:
        """The row, what is told of it, and what follows from it for its batch and its tenant's account."""
        changed, told = self._written(connection, job, change, claim=claim)
        tell(connection, self._now, *told)
        account(connection, self._insert, (job, changed))
        return changed

    def _written(
        self,
        connection: Connection,
        job: Job,
        change: Change,
        *,
        claim: Claim | None = None,
        kept: Kept = NOTHING_KEPT,
    ) -> tuple[Job, tuple[Told, ...]]:
        """The row, what is kept with it, and what follows from it for its batch, if it is of one; and what is
        to be told of it."""
        changed, told = change_row(connection, self._now, job, change, claim=claim)
        keep(connection, self._insert, self._now, changed, kept)
        if changed.batch_id is not None and changed.status is not job.status:
            after_change(connection, self._now, changed)
        return changed, told


def _begun(row: Row[Any]) -> Told:
    job = job_of(row)
    return Told(job, row.event_count, Status.RUNNING.value, {"attempt": job.attempt, "worker": job.worker})
