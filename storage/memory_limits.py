"""The in-memory twins of limits and of token buckets."""

from collections.abc import Mapping

from storage.limit_records import NO_LIMITS, Held, Limit
from storage.memory import MemoryLibrary
from storage.memory_jobs import MemoryJobs
from storage.records import GPU_QUEUE, Status
from storage.usage import DAY_S
from storage.vectors import own_bytes


class MemoryLimits:
    def __init__(
        self, jobs: MemoryJobs, library: MemoryLibrary, defaults: Mapping[Limit, float] = NO_LIMITS
    ) -> None:
        self._jobs = jobs
        self._library = library
        self._defaults = defaults
        self._own: dict[str, dict[Limit, float]] = {}
        jobs.full_tenants = self._full

    def of(self, tenant_id: str) -> dict[Limit, float]:
        with self._jobs.lock:
            return dict(self._defaults) | self._own.get(tenant_id, {})

    def set(self, tenant_id: str, limit: Limit, value: float | None) -> None:
        with self._jobs.lock:
            own = self._own.setdefault(tenant_id, {})
            if value is None:
                own.pop(limit, None)
            else:
                own[limit] = value

    def held(self, tenant_id: str, *, queue: str = GPU_QUEUE) -> Held:
        with self._jobs.lock:
            jobs = [row.job for row in self._jobs.rows.values() if row.job.tenant_id == tenant_id]
            running = [job for job in jobs if job.status is Status.RUNNING and job.queue == queue]
            sizes = [ref.byte_size for job in jobs for ref in job.outputs.values()]
            for records in (self._library.images.values(), self._library.files.values()):
                sizes += [each.object.byte_size for each in records if each.tenant_id == tenant_id]
            vectors = self._library.vectors.values()
            sizes += [own_bytes(vector) for vector in vectors if vector.tenant_id == tenant_id]
            sizes.append(self._jobs.results_bytes(tenant_id))
            waiting = sum(job.status is Status.QUEUED for job in jobs)
            return Held(waiting, len(running), self._gpu_s(tenant_id), sum(sizes))

    def _gpu_s(self, tenant_id: str) -> float:
        day = int(self._jobs.clock() // DAY_S)
        return sum(
            use.gpu_s for use in self._jobs.used.values() if (use.tenant_id, use.day) == (tenant_id, day)
        )

    def _full(self, queue: str) -> frozenset[str]:
        running: dict[str, int] = {}
        for row in self._jobs.rows.values():
            if row.job.status is Status.RUNNING and row.job.queue == queue:
                running[row.job.tenant_id] = running.get(row.job.tenant_id, 0) + 1
        tenants = {row.job.tenant_id for row in self._jobs.rows.values()}
        return frozenset(tenant for tenant in tenants if self._is_full(tenant, queue, running.get(tenant, 0)))

    def _is_full(self, tenant_id: str, queue: str, running: int) -> bool:
        limits = self.of(tenant_id)
        most, most_s = limits[Limit.JOBS_RUNNING], limits[Limit.GPU_S_PER_DAY]
        spent = queue == GPU_QUEUE and 0 < most_s <= self._gpu_s(tenant_id)
        return 0 < most <= running or spent
