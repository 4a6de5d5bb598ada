"""The in-memory twin of retention: over the rows of MemoryJobs and the records of MemoryLibrary."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace

from storage.batch_records import Batch
from storage.memory import MemoryLibrary
from storage.memory_batches import MemoryBatches
from storage.memory_jobs import MemoryJobs
from storage.memory_queues import copy_of
from storage.objects import job_of_key, of_scheme
from storage.records import Job, Status
from storage.retention import CONDEMNED_FOR_S, NAMING_SEVERAL, needs, refuse_needed
from storage.usage import DAY_S


class MemoryRetention:
    def __init__(self, jobs: MemoryJobs, library: MemoryLibrary, batches: MemoryBatches) -> None:
        self._jobs = jobs
        self._batches = batches
        self._library = library

    def expire_outputs(self, *, kept_s: float, limit: int = 100) -> tuple[Job, ...]:
        def late(job: Job, now: float) -> bool:
            kept = job.status is Status.SUCCEEDED and job.outputs_expired_at is None
            return kept and _ended_at(job) + (kept_s if job.keep_s is None else job.keep_s) <= now

        with self._jobs.lock:
            jobs, now = self._old(late, limit), self._jobs.clock()
            for job in jobs:
                row = self._jobs.rows[job.id]
                row.job = replace(row.job, outputs={}, outputs_expired_at=now, updated_at=now)
        return tuple(jobs)

    def purge_jobs(self, *, kept_s: float, limit: int = 100) -> int:
        def late(job: Job, now: float) -> bool:
            calls = [call for call in self._jobs.deliveries.values() if call.job_id == job.id]
            waiting = not job.status.ended or any(call.status == "pending" for call in calls)
            return not waiting and _ended_at(job) + max(kept_s, job.keep_s or 0.0) <= now

        with self._jobs.lock:
            gone = {job.id for job in self._old(late, limit)}
            self._drop(gone)
        return len(gone)

    def _drop(self, gone: set[str]) -> None:
        """Rows of jobs, with all that goes with them."""
        for job_id in gone:
            del self._jobs.rows[job_id]
        for call in [call for call in self._jobs.deliveries.values() if call.job_id in gone]:
            del self._jobs.deliveries[call.id]
        for name in [name for name, key in self._jobs.keys.items() if key.job_id in gone]:
            del self._jobs.keys[name]

    def delete_job(self, tenant_id: str, job_id: str) -> Job:
        with self._jobs.lock:
            job = self._jobs.get(tenant_id, job_id)
            refuse_needed(job, self._jobs.open_job_naming(job_id, tenant_id))
            kept = self._library.inversions
            for place in [place for place, each in kept.items() if each.inversion.job_id == job_id]:
                del kept[place]
            self._drop({job_id})
        return job

    def expire_batches(self, *, kept_s: float, limit: int = 10) -> tuple[str, ...]:
        with self._jobs.lock:
            now, keys = self._jobs.clock(), []
            for batch in self._late(now, kept_s, expired=False)[:limit]:
                self._batches.rows[batch.id] = replace(
                    batch, files={}, outputs_expired_at=now, updated_at=now
                )
                for row in [row for row in self._jobs.rows.values() if row.job.batch_id == batch.id]:
                    keys += [ref.key for ref in row.job.outputs.values()]
                    if row.job.status is Status.SUCCEEDED:
                        row.job = replace(row.job, outputs={}, outputs_expired_at=now)
        return tuple(keys)

    def purge_batches(self, *, kept_s: float, limit: int = 10) -> int:
        with self._jobs.lock:
            gone = self._late(self._jobs.clock(), kept_s, expired=True)[:limit]
            for batch in gone:
                del self._batches.rows[batch.id]
                mine = [row.job.id for row in self._jobs.rows.values() if row.job.batch_id == batch.id]
                for job_id in mine:
                    del self._jobs.rows[job_id]
        return len(gone)

    def _late(self, now: float, kept_s: float, *, expired: bool) -> list[Batch]:
        def late(batch: Batch) -> bool:
            kept = max(kept_s, batch.keep_s or 0.0) if expired else batch.keep_s or kept_s
            was = batch.outputs_expired_at is not None
            return was == expired and batch.ended_at is not None and batch.ended_at + kept <= now

        return [batch for batch in self._batches.rows.values() if late(batch)]

    def purge_keys(self, *, kept_s: float) -> int:
        with self._jobs.lock:
            now = self._jobs.clock()
            old = [name for name, key in self._jobs.keys.items() if key.created_at + kept_s <= now]
            for name in old:
                del self._jobs.keys[name]
        return len(old)

    def purge_usage(self, *, kept_s: float) -> int:
        with self._jobs.lock:
            now, used = self._jobs.clock(), self._jobs.used
            old = [place for place, use in used.items() if (use.day + 1) * DAY_S + kept_s <= now]
            for place in old:
                del used[place]
        return len(old)

    def expire_inversions(self, *, kept_s: float, limit: int = 100) -> int:
        with self._jobs.lock:
            saved, now = self._library.inversions, self._jobs.clock()
            old = [place for place in saved if saved[place].used_at + kept_s <= now]
            old = sorted(old, key=lambda place: saved[place].used_at)[:limit]
            for place in old:
                del saved[place]
        return len(old)

    def unneeded(self, keys: Iterable[str]) -> frozenset[str]:
        with self._jobs.lock:
            library = self._library
            needed = {image.object.key for image in library.images.values()}
            needed |= {file.object.key for file in library.files.values()}
            for files in (
                *(model.files for model in library.models.values()),
                *(vector.files for vector in library.vectors.values()),
                *(saved.inversion.files for saved in library.inversions.values()),
            ):
                needed.update(ref.key for ref in files.values())
            return frozenset(
                key for key in keys if of_scheme(key) and key not in needed and not self._needed_by_job(key)
            )

    def spare(self, keys: Iterable[str]) -> frozenset[str]:
        with self._jobs.lock:
            wanted = set(keys)
            for key in wanted - self._library.condemned:
                self._library.marked.pop(key, None)
            return frozenset(wanted & self._library.condemned)

    def mark(self, keys: Iterable[str]) -> None:
        with self._jobs.lock:
            for key in keys:
                self._library.marked.setdefault(key, self._jobs.clock())

    def marked(self, *, longer_than_s: float, limit: int = 1000) -> tuple[str, ...]:
        with self._jobs.lock:
            now = self._jobs.clock()
            old = [
                key
                for key, marked_at in self._library.marked.items()
                if marked_at + longer_than_s <= now and self._free(key)
            ]
            return tuple(sorted(old, key=lambda key: self._library.marked[key])[:limit])

    def condemn(self, keys: Iterable[str]) -> frozenset[str]:
        with self._jobs.lock:
            found = [key for key in keys if key in self._library.marked and self._free(key)]
            condemned = self.unneeded(found)
            for key in found:
                if key in condemned:
                    self._library.marked[key] = self._jobs.clock()
                    self._library.condemned.add(key)
                else:
                    del self._library.marked[key]
        return condemned

    def forget(self, keys: Iterable[str]) -> None:
        with self._jobs.lock:
            for key in keys:
                self._library.marked.pop(key, None)
                self._library.condemned.discard(key)

    def _old(self, late: Callable[[Job, float], bool], limit: int) -> list[Job]:
        now = self._jobs.clock()
        jobs = [row.job for row in self._jobs.rows.values() if row.job.batch_id is None]
        starting = [job for job in jobs if not job.status.ended]
        needed = {job.spec.get("inversion") for job in starting}
        several = " ".join(json.dumps(job.spec) for job in starting if job.kind in NAMING_SEVERAL)
        old = [
            copy_of(job) for job in jobs if job.id not in needed and job.id not in several and late(job, now)
        ]
        return sorted(old, key=_ended_at)[:limit]

    def _needed_by_job(self, key: str) -> bool:
        row = self._jobs.rows.get(job_of_key(key) or "")
        return row is not None and needs(row.job, key)

    def _free(self, key: str) -> bool:
        stale = self._jobs.clock() - CONDEMNED_FOR_S
        return key not in self._library.condemned or self._library.marked[key] <= stale


def _ended_at(job: Job) -> float:
    assert job.ended_at is not None
    return job.ended_at
