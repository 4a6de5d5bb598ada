"""The in-memory twin of batches: over the rows of MemoryJobs, with the same decisions."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from storage import batch_course
from storage.batch_course import Course, refuse_ended
from storage.batch_records import CHUNK, FINISH, HELD_UNTIL, VALIDATE, Batch, BatchStatus, Chunk, Tally
from storage.errors import BatchNotFound, JobEnded
from storage.library_records import Kept
from storage.memory_jobs import MemoryJobs, page_of_all
from storage.plain import plain, ref_from_dict
from storage.records import (
    CPU_QUEUE,
    GPU_QUEUE,
    IdempotencyKey,
    Job,
    ObjectRef,
    Page,
    Priority,
    Status,
    new_id,
)
from storage.specs import JobOptions, Webhook

_PRIORITIES = tuple(Priority)


class MemoryBatches:
    """Shares the lock of the jobs, as one database would."""

    def __init__(self, jobs: MemoryJobs) -> None:
        self._jobs = jobs
        self.rows: dict[str, Batch] = {}
        self._chunks: dict[str, dict[int, Chunk]] = {}
        jobs.batch_claimed, jobs.batch_changed, jobs.batch_paused = (
            self._claimed,
            self._changed,
            self._is_paused,
        )
        jobs.open_batch_naming, jobs.results_bytes = self._open_one_naming, self._results_bytes
        keep = jobs.keep

        def keep_chunks(job: Job, kept: Kept) -> None:
            keep(job, replace(kept, chunks=()))
            if any(chunk.batch_id != job.batch_id for chunk in kept.chunks):
                raise ValueError(f"a job of batch {job.batch_id} keeps chunks of another")
            for chunk in kept.chunks:
                self._chunks.setdefault(chunk.batch_id, {})[chunk.number] = chunk

        jobs.keep = keep_chunks

    def add(
        self,
        tenant_id: str,
        spec: Mapping[str, Any],
        *,
        priority: Priority = Priority.BULK,
        ready: int = 4,
        keep_s: float | None = None,
        webhook: Mapping[str, Any] | None = None,
        retry_of: str | None = None,
        idempotency: IdempotencyKey | None = None,
    ) -> Batch:
        with self._jobs.lock:
            known = None if idempotency is None else self.added(tenant_id, idempotency)
            if known is not None:
                return known
            now = self._jobs.clock()
            batch = Batch(
                id=new_id(), tenant_id=tenant_id, spec=plain(spec), priority=priority,
                status=BatchStatus.VALIDATING, paused=False, cancel_requested=False, ready=ready,
                keep_s=keep_s,
                webhook=plain(webhook), retry_of=retry_of, items=0, invalid=0, chunks=0, files={}, result={},
                error=None, created_at=now, validated_at=None, ended_at=None, updated_at=now,
                outputs_expired_at=None,
            )  # fmt: skip
            self.rows[batch.id] = batch
            self._queue(batch, VALIDATE, CPU_QUEUE, {"batch": batch.id}, idempotency)
            return batch

    def added(self, tenant_id: str, idempotency: IdempotencyKey) -> Batch | None:
        job = self._jobs.added(tenant_id, idempotency)
        return None if job is None or job.batch_id is None else self.get(tenant_id, job.batch_id)

    def get(self, tenant_id: str, batch_id: str) -> Batch:
        with self._jobs.lock:
            batch = self.rows.get(batch_id)
        if batch is None or batch.tenant_id != tenant_id:
            raise BatchNotFound(f"There is no batch {batch_id}.")
        return batch

    def list(
        self,
        tenant_id: str,
        *,
        status: BatchStatus | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Batch]:
        with self._jobs.lock:
            mine = [
                batch
                for batch in self.rows.values()
                if batch.tenant_id == tenant_id and status in (None, batch.status)
            ]
        return page_of_all(mine, limit, cursor)

    def tally(self, batch_id: str) -> Tally:
        with self._jobs.lock:
            ended = [chunk for chunk in self._of(batch_id).values() if chunk.ended_at is not None]
        errors: dict[str, int] = {}
        for chunk in ended:
            for code, count in chunk.errors.items():
                errors[code] = errors.get(code, 0) + count
        sums = {
            name: sum(getattr(chunk, name) for chunk in ended)
            for name in ("succeeded", "failed", "canceled", "reused", "device_s", "seconds")
        }
        return Tally(chunks=len(ended), **sums, errors=dict(sorted(errors.items())))

    def chunk(self, batch_id: str, number: int) -> Chunk:
        with self._jobs.lock:
            return self._of(batch_id)[number]

    def chunks(self, batch_id: str, *, after: int = -1, limit: int = 1000) -> tuple[Chunk, ...]:
        with self._jobs.lock:
            rows = sorted(self._of(batch_id).values(), key=lambda chunk: chunk.number)
        return tuple(chunk for chunk in rows if chunk.number > after)[:limit]

    def ledgers(self, batch_id: str) -> Iterator[tuple[Chunk, ObjectRef | None]]:
        for chunk in self.chunks(batch_id, limit=1 << 30):
            row = self._jobs.rows.get(chunk.job_id or "")
            yield chunk, row.job.outputs.get("ledger.jsonl") if row is not None else None

    def kept_ledgers(self) -> Iterator[ObjectRef]:
        for batch_id in tuple(self.rows):
            yield from (ledger for _, ledger in self.ledgers(batch_id) if ledger is not None)

    def running(self, batch_id: str) -> tuple[Job, ...]:
        return tuple(job for job in self._open_jobs(batch_id) if job.status is Status.RUNNING)

    def newest(self, batch_id: str, *, limit: int = 2) -> tuple[Job, ...]:
        with self._jobs.lock:
            jobs = [row.job for row in self._jobs.rows.values() if row.job.batch_id == batch_id]
        done = [job for job in jobs if job.kind == CHUNK and job.status is Status.SUCCEEDED]
        return tuple(sorted(done, key=lambda job: job.ended_at or 0.0, reverse=True)[:limit])

    def pause(self, tenant_id: str, batch_id: str, paused: bool) -> Batch:
        with self._jobs.lock:
            batch = self._wish(tenant_id, batch_id, {"paused": paused})
            queued = [
                job for job in self._open_jobs(batch_id) if job.status is Status.QUEUED and job.kind == CHUNK
            ]
            for job in queued:
                until = HELD_UNTIL if paused else min(job.not_before, self._jobs.clock())
                self._jobs.rows[job.id].job = replace(job, not_before=until)
            self._queue_chunks(batch, batch.ready - len(queued))
            return batch

    def request_cancel(self, tenant_id: str, batch_id: str) -> Batch:
        with self._jobs.lock:
            self._wish(tenant_id, batch_id, {"cancel_requested": True})
            self.carry_out_cancel(batch_id)
            return self.get(tenant_id, batch_id)

    def carry_out_cancel(self, batch_id: str) -> None:
        with self._jobs.lock:
            for job in self._open_jobs(batch_id):
                if job.kind != FINISH:
                    with contextlib.suppress(JobEnded):
                        self._jobs.request_cancel(job.tenant_id, job.id)
            batch = self.rows[batch_id]
            if batch.cancel_requested and batch.status is BatchStatus.RUNNING and not self._more(batch):
                self._follow(batch, batch_course.all_done())

    def canceling(self) -> tuple[Batch, ...]:
        open_ones = (BatchStatus.VALIDATING, BatchStatus.RUNNING)
        with self._jobs.lock:
            return tuple(b for b in self.rows.values() if b.cancel_requested and b.status in open_ones)

    def set_priority(self, tenant_id: str, batch_id: str, priority: Priority) -> Batch:
        with self._jobs.lock:
            batch = self._wish(tenant_id, batch_id, {"priority": priority.rank})
            for job in self._open_jobs(batch_id):
                self._jobs.set_priority(tenant_id, job.id, priority)
            return batch

    def speed(self, kind: str, model: str) -> tuple[int, float] | None:
        with self._jobs.lock:
            alike = [
                batch.id
                for batch in self.rows.values()
                if (batch.spec["spec"].get("kind"), batch.spec["spec"].get("model")) == (kind, model)
            ]
            chunks = [
                chunk for batch_id in alike for chunk in self._of(batch_id).values() if chunk.device_s > 0
            ]
        items = sum(chunk.succeeded - chunk.reused for chunk in chunks)
        return (items, sum(chunk.device_s for chunk in chunks)) if items else None

    def _of(self, batch_id: str) -> dict[int, Chunk]:
        return self._chunks.get(batch_id, {})

    def _open_jobs(self, batch_id: str) -> tuple[Job, ...]:
        with self._jobs.lock:
            rows = self._jobs.rows.values()
            return tuple(row.job for row in rows if row.job.batch_id == batch_id and not row.job.status.ended)

    def _wish(self, tenant_id: str, batch_id: str, values: dict[str, Any]) -> Batch:
        batch = self.get(tenant_id, batch_id)
        refuse_ended(batch)
        return self._follow(batch, Course(values))

    def _open_one_naming(self, thing_id: str, tenant_id: str | None) -> str | None:
        for batch in self.rows.values():
            mine = tenant_id in (None, batch.tenant_id) and not batch.status.ended
            if mine and thing_id in json.dumps(batch.spec):
                return batch.id
        return None

    def _is_paused(self, batch_id: str) -> bool:
        return self.rows[batch_id].paused

    def _claimed(self, job: Job) -> None:
        if job.kind == CHUNK and job.attempt == 1 and job.batch_id is not None:
            self._queue_chunks(self.rows[job.batch_id], 1)

    def _changed(self, job: Job) -> None:
        assert job.batch_id is not None
        batch, now = self.rows[job.batch_id], self._jobs.clock()
        if not job.status.ended:
            if batch.paused and job.status is Status.QUEUED and job.kind == CHUNK:
                self._jobs.rows[job.id].job = replace(job, not_before=HELD_UNTIL)
            return
        if job.kind == CHUNK:
            number = job.spec["chunk"]
            chunk = self._chunks[batch.id][number]
            self._chunks[batch.id][number] = replace(chunk, **batch_course.outcome(chunk, job, now))
        more, tally = job.kind != FINISH and self._more(batch), self.tally(batch.id)
        self._follow(batch, batch_course.ended(batch, job, now, more=more, tally=tally))

    def _more(self, batch: Batch) -> bool:
        return any(
            chunk.ended_at is None and (chunk.job_id is not None or not batch.cancel_requested)
            for chunk in self._of(batch.id).values()
        )

    def _follow(self, batch: Batch, course: Course) -> Batch:
        if not course.values:
            return batch
        values = dict(course.values) | {"updated_at": self._jobs.clock()}
        if "status" in values:
            values["status"] = BatchStatus(values["status"])
        if "priority" in values:
            values["priority"] = _PRIORITIES[values["priority"]]
        if "files" in values:
            values["files"] = {role: ref_from_dict(ref) for role, ref in values["files"].items()}
        batch = self.rows[batch.id] = replace(batch, **values)
        self._queue_chunks(batch, course.chunks)
        if course.finish:
            self._queue(batch, FINISH, CPU_QUEUE, {"batch": batch.id})
        return batch

    def _results_bytes(self, tenant_id: str) -> int:
        kept = [b.id for b in self.rows.values() if b.tenant_id == tenant_id and b.outputs_expired_at is None]
        return sum(chunk.results_bytes for name in kept for chunk in self._of(name).values())

    def _queue_chunks(self, batch: Batch, count: int) -> None:
        if count <= 0 or batch.status is not BatchStatus.RUNNING or batch.paused or batch.cancel_requested:
            return
        waiting = [c for c in self.chunks(batch.id, limit=1 << 30) if c.ended_at is None and c.job_id is None]
        for chunk in waiting[:count]:
            job = self._queue(batch, CHUNK, GPU_QUEUE, {"batch": batch.id, "chunk": chunk.number})
            self._chunks[batch.id][chunk.number] = replace(chunk, job_id=job.id)

    def _queue(
        self,
        batch: Batch,
        kind: str,
        queue: str,
        spec: dict[str, Any],
        idempotency: IdempotencyKey | None = None,
    ) -> Job:
        webhook = Webhook(**batch.webhook) if kind == FINISH and batch.webhook else None
        options = JobOptions(priority=batch.priority, webhook=webhook)
        tenant = batch.tenant_id
        job = self._jobs.add(tenant, kind, spec, queue=queue, options=options, idempotency=idempotency)
        self._jobs.rows[job.id].job = replace(self._jobs.rows[job.id].job, batch_id=batch.id)
        return self._jobs.rows[job.id].job
