"""The in-memory twin of how attempts begin and succeed, alone or together."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from storage import transitions
from storage.deliveries import delivery_of
from storage.errors import LeaseLost
from storage.library_records import NOTHING_KEPT, Ending, Kept
from storage.memory_queues import MemoryQueues, MemoryRow, copy_of
from storage.plain import plain, ref_from_dict
from storage.records import Claim, Event, Job, ObjectRef, Priority, Status
from storage.transitions import Change

_PRIORITIES = tuple(Priority)


class MemoryAttempts(MemoryQueues):
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
        with self.lock:
            best = self._first(queue, worker)
            if best is None:
                return ()
            claims = [self._claim(best, worker, lease_s, pid)]
            for job in self._company(best, most(best.kind) - 1):
                if job.tenant_id not in self.full_tenants(queue):
                    claims.append(self._claim(job, worker, lease_s, pid))
            self._served(queue, best.tenant_id)
            return tuple(claims)

    def _claim(self, job: Job, worker: str, lease_s: float, pid: int | None) -> Claim:
        row, now, token = self.rows[job.id], self.clock(), secrets.token_hex(32)
        row.token = token
        row.job = replace(
            job, status=Status.RUNNING, attempt=job.attempt + 1, worker=worker, worker_pid=pid,
            lease_until=now + lease_s, started_at=job.started_at or now, updated_at=now, claimed_at=now,
        )  # fmt: skip
        self._tell(row, Status.RUNNING.value, {"attempt": row.job.attempt, "worker": worker})
        if row.job.batch_id is not None:
            self.batch_claimed(row.job)
        return Claim(copy_of(row.job), token)

    def succeed(
        self,
        claim: Claim,
        outputs: Mapping[str, ObjectRef],
        result: Mapping[str, Any],
        *,
        kept: Kept = NOTHING_KEPT,
    ) -> Job:
        return self._succeed(Ending(claim, outputs, result, kept))

    def succeed_together(self, endings: Sequence[Ending]) -> tuple[Job | None, ...]:
        with self.lock:
            jobs: list[Job | None] = []
            for ending in endings:
                try:
                    jobs.append(self._succeed(ending))
                except LeaseLost:
                    jobs.append(None)
            return tuple(jobs)

    def _succeed(self, ending: Ending) -> Job:
        claim = ending.claim
        with self.lock:
            row = self.rows.get(claim.job.id)
            if (
                row is not None
                and row.job.status is Status.SUCCEEDED
                and (row.job.attempt, row.ended_token) == (claim.job.attempt, claim.token)
            ):
                return copy_of(row.job)
            held = self._held(claim)
            change = transitions.succeed(
                held.job, self.clock(), ending.outputs, ending.result, held_s=ending.held_s
            )
            self.keep(held.job, ending.kept)
            return self._under(claim, lambda _: change)

    def _held(self, claim: Claim) -> MemoryRow:
        row = self.rows.get(claim.job.id)
        if row is None or (row.job.attempt, row.token) != (claim.job.attempt, claim.token):
            raise LeaseLost(f"Attempt {claim.job.attempt} of job {claim.job.id} no longer holds its lease.")
        return row

    def _under(self, claim: Claim, decide: Callable[[Job], Change]) -> Job:
        with self.lock:
            row = self._held(claim)
            change = decide(row.job)
            if "ended_at" in change.values:
                row.ended_token = claim.token
            return self._apply(row, change)

    def _apply(self, row: MemoryRow, change: Change) -> Job:
        values = dict(change.values) | {"updated_at": self.clock()}
        if "token" in values:
            row.token = values.pop("token")
        if "status" in values:
            values["status"] = Status(values["status"])
        if "priority" in values:
            values["priority"] = _PRIORITIES[values["priority"]]
        if "outputs" in values:
            values["outputs"] = {name: ref_from_dict(ref) for name, ref in values["outputs"].items()}
        was, row.job = row.job, replace(row.job, **values)
        if change.event is not None:
            self._tell(row, change.event, change.data)
        if row.job.batch_id is not None and row.job.status is not was.status:
            self.batch_changed(row.job)
        self._account(was, row.job)
        return copy_of(row.job)

    def _tell(self, row: MemoryRow, type: str, data: dict[str, Any]) -> None:
        event = Event(row.job.id, len(row.events) + 1, type, plain(data), self.clock())
        row.events.append(event)
        delivery = delivery_of(row.job, event)
        if delivery is not None:
            self.deliveries[delivery.id] = delivery
