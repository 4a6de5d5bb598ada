"""Steps that tests of the jobs table share."""

import time

from storage.records import Claim, ObjectRef
from storage.stores import Jobs

REF = ObjectRef("local/jobs/x/1/outputs/a.png", "0" * 64, 3, "image/png")
ERROR = {"code": "non_finite", "detail": "The loss ran away."}


def claimed(jobs: Jobs, *, lease_s: float = 60.0, **spec: object) -> Claim:
    job = jobs.add("local", "edit", spec)
    claim = jobs.claim("gpu", "worker:1:gpu", lease_s=lease_s)
    assert claim is not None
    assert claim.job.id == job.id
    return claim


def told(jobs: Jobs, job_id: str) -> list[str]:
    events = jobs.events("local", job_id)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert all(event.job_id == job_id and abs(event.created_at - time.time()) < 60 for event in events)
    return [event.type for event in events]
