"""Why a job waits, what it is doing, or how it ended: gathered from rows and board, told by reasons.py."""

import time

from pydantic import BaseModel, Field

from api.job_view import latest_progress
from api.reasons import Facts, Reason, reasons
from api.service import service, stores
from api.workers import worker_list
from storage.records import Job, Queue, Status


class Explanation(BaseModel):
    job_id: str
    status: Status
    text: str = Field(description="The reasons as one text.")
    reasons: list[Reason] = Field(description="The weightiest first.")


def explanation(job: Job) -> Explanation:
    found = reasons(job, _facts(job))
    return Explanation(
        job_id=job.id, status=job.status, text=" ".join(reason.text for reason in found), reasons=found
    )


def _facts(job: Job) -> Facts:
    jobs, board = stores().jobs, stores().progress
    workers, waits = worker_list(stores(), job.tenant_id), job.status is Status.QUEUED
    return Facts(
        now=time.time(),
        ageing_s=service().settings.ageing_s,
        events=jobs.events(job.tenant_id, job.id),
        queue=_queue(job.queue),
        ahead=jobs.ahead(job) if waits else {},
        workers=[worker for worker in workers.items if worker.queue == job.queue],
        board=workers.board,
        progress=latest_progress(job, board),
        limits=stores().limits.of(job.tenant_id) if waits else {},
        held=stores().limits.held(job.tenant_id, queue=job.queue) if waits else None,
    )


def _queue(name: str) -> Queue:
    """Counted after the job was read: it may have left its queue since."""
    found = {queue.name: queue for queue in stores().jobs.queues()}
    return found.get(name) or Queue(
        name, paused=False, queued=0, eligible=0, running=0, oldest_created_at=None
    )
