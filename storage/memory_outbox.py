"""The in-memory twin of the outbox: the deliveries that MemoryJobs adds with its events."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from storage.errors import Conflict, NotFound
from storage.memory_jobs import MemoryJobs
from storage.records import Delivery


class MemoryOutbox:
    def __init__(self, jobs: MemoryJobs) -> None:
        self._jobs = jobs

    def due(self, *, lease_s: float, limit: int = 10, without: Collection[str] = ()) -> tuple[Delivery, ...]:
        with self._jobs.lock:
            now = self._jobs.clock()
            due = [
                delivery
                for delivery in self._jobs.deliveries.values()
                if delivery.status == "pending"
                and delivery.next_at <= now
                and not delivery.url.startswith(tuple(without))
            ]
            due.sort(key=lambda delivery: (delivery.next_at, delivery.id))
            return tuple(
                self._put(replace(delivery, tries=delivery.tries + 1, next_at=now + lease_s))
                for delivery in due[:limit]
            )

    def delivered(self, delivery: Delivery) -> None:
        self._set(delivery, status="delivered", ended_at=self._jobs.clock())

    def postponed(self, delivery: Delivery, *, error: str, after_s: float | None) -> None:
        if after_s is None:
            self._set(delivery, status="failed", ended_at=self._jobs.clock(), last_error=error)
        else:
            self._set(delivery, next_at=self._jobs.clock() + after_s, last_error=error)

    def list(self, tenant_id: str, job_id: str) -> tuple[Delivery, ...]:
        with self._jobs.lock:
            self._jobs.get(tenant_id, job_id)
            return tuple(d for d in self._jobs.deliveries.values() if d.job_id == job_id)

    def resend(self, tenant_id: str, job_id: str, delivery_id: str) -> Delivery:
        with self._jobs.lock:
            found = [d for d in self.list(tenant_id, job_id) if d.id == delivery_id]
            if not found:
                raise NotFound(f"Job {job_id} has no delivery {delivery_id}.")
            if found[0].status == "pending":
                raise Conflict(f"Delivery {delivery_id} is still being tried.")
            again = replace(found[0], status="pending", ended_at=None, tries=0, next_at=self._jobs.clock())
            return self._put(again)

    def _set(self, delivery: Delivery, **values: Any) -> None:
        with self._jobs.lock:
            if self._jobs.deliveries.get(delivery.id) == delivery:
                self._put(replace(delivery, **values))

    def _put(self, delivery: Delivery) -> Delivery:
        self._jobs.deliveries[delivery.id] = delivery
        return delivery
