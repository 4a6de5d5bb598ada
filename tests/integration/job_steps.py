"""Steps that tests of the jobs table share."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from sqlalchemy import update

from storage.errors import EditqError
from storage.memory_jobs import MemoryJobs
from storage.records import Claim, Job, ObjectRef
from storage.specs import JobOptions
from storage.stores import Jobs
from storage.tables import JOBS

REF = ObjectRef("local/jobs/x/1/outputs/a.png", "0" * 64, 3, "image/png")
ERROR = {"code": "non_finite", "detail": "The loss ran away."}
_TIMES = ("created_at", "not_before", "start_by", "finish_by", "lease_until", "started_at")


def claimed(jobs: Jobs, *, lease_s: float = 60.0, **spec: object) -> Claim:
    job = jobs.add("local", "edit", spec)
    claim = jobs.claim("gpu", "worker:1:gpu", lease_s=lease_s)
    assert claim is not None
    assert claim.job.id == job.id
    return claim


def take(jobs: Jobs, worker: str = "w", **claim: Any) -> Claim:
    """Claim what there is."""
    taken = jobs.claim("gpu", worker, **{"lease_s": 60, **claim})
    assert taken is not None
    return taken


def options(**members: Any) -> JobOptions:
    return JobOptions.model_validate(members)


def together(*works: Callable[[], object]) -> list[object]:
    """Start all at the same moment; what each gave back or raised."""
    gate = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> object:
        gate.wait()
        try:
            return work()
        except EditqError as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def told(jobs: Jobs, job_id: str) -> list[str]:
    events = jobs.events("local", job_id)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert all(event.job_id == job_id and abs(event.created_at - time.time()) < 60 for event in events)
    return [event.type for event in events]


def elapse(records: Any, job: Job, seconds: float) -> Job:
    """Let so much time have passed for this row: all that it says of time is set back."""
    if records.database is None:
        jobs: MemoryJobs = records.jobs
        row = jobs.rows[job.id]
        times = {name: getattr(row.job, name) for name in _TIMES}
        earlier = {name: at - seconds for name, at in times.items() if at is not None}
        row.job = replace(row.job, **earlier)
    else:
        earlier = {name: JOBS.c[name] - seconds for name in _TIMES}
        with records.database.write() as connection:
            connection.execute(update(JOBS).where(JOBS.c.id == job.id).values(earlier))
    return records.jobs.get(job.tenant_id, job.id)
