"""The one pipeline that every claimed job goes through."""

import logging
import os
import time
from contextlib import closing
from dataclasses import replace

from storage.batch_records import CHUNK, VALIDATE, BatchStatus
from storage.log import about_job
from storage.records import CPU_QUEUE, GPU_QUEUE, Claim, Job
from storage.tracing import span
from workers.attempt import Attempt, Saved
from workers.bench import Bench
from workers.checkpoints import Checkpoints
from workers.follow import follow
from workers.lease import Lease, Phase
from workers.settle import settle, settle_stall
from workers.writing import Writer

log = logging.getLogger(__name__)


def take(queue: str, bench: Bench) -> Job | None:
    """Claim the best eligible job of a queue and run it; None when there is none, or it was lost."""
    since = time.monotonic()  # before the claim: on this clock the lease never ends late
    if bench.draining():
        bench.ring(queue, "drain")
        return None
    claim = bench.stores.jobs.claim(queue, bench.worker, lease_s=bench.lease_s, pid=os.getpid())
    if claim is None:
        return None
    if claim.job.kind == CHUNK:  # the next one has come into the queue
        bench.ring(queue, claim.job.id)
    job = run(claim, bench, since)
    if job is not None and job.batch_id is not None:
        ring_on(job, bench)
    return job


def ring_on(job: Job, bench: Bench) -> None:
    """For what came into the queues as this job of a batch ended."""
    batch = bench.stores.batches.get(job.tenant_id, job.batch_id or "")
    if job.kind == VALIDATE:
        for _ in range(min(batch.ready, batch.chunks)):
            bench.ring(GPU_QUEUE, job.id)
    elif batch.status is BatchStatus.FINISHING:
        bench.ring(CPU_QUEUE, job.id)


def run(claim: Claim, bench: Bench, since: float) -> Job | None:
    """Load, operate, save. Returns the row as this attempt left it, or None when another one owns it."""
    job, waited_s = claim.job, max(0.0, claim.job.updated_at - claim.job.not_before)
    facts: dict[str, str | float] = {
        "job_id": job.id,
        "attempt": job.attempt,
        "job_kind": job.kind,
        "waited_s": waited_s,
    }
    with about_job(job), span(f"attempt {job.kind}", job.trace, kind="consumer", **facts) as told:
        ended = _run(claim, bench, since)
        told["status"] = ended.status.value if ended is not None else "lost"
    return ended


def _run(claim: Claim, bench: Bench, since: float) -> Job | None:
    attempt = Attempt(claim, bench.stores, bench.models)
    lease = keep(attempt, bench, since)
    log.info("job %s attempt %d: %s", claim.job.id, claim.job.attempt, claim.job.kind)
    with lease.beating():
        try:
            saved = perform(replace(attempt, moved=lease.touch), lease, bench)
            jobs, left = bench.stores.jobs, (saved.outputs, saved.result)
            job = lease.insist(lambda: jobs.succeed(claim, *left, kept=saved.kept))
        except (Exception, SystemExit) as error:  # noqa: BLE001  whatever it is, the row will say
            settled = settle(error, attempt, lease, bench)
            if settled is None:
                return None
            job = settled
    log.info("job %s attempt %d: %s", job.id, job.attempt, job.status)
    bench.stores.progress.publish(job.id, {"type": "state", "attempt": claim.job.attempt})  # look at the row
    return job


def keep(attempt: Attempt, bench: Bench, since: float) -> Lease:
    """The lease of an attempt."""
    return Lease(
        attempt.claim,
        bench.stores.jobs,
        lease_s=bench.lease_s,
        stall_limits_s=bench.stall_limits_s,
        since=since,
        draining=bench.draining,
        on_stall=lambda fault, lease: settle_stall(fault, attempt, lease, bench),
        guard=bench.guard,
    )


def perform(attempt: Attempt, lease: Lease, bench: Bench) -> Saved:
    """The three phases. Nothing of the row is written here, its checkpoint pointer aside."""

    def enter(phase: Phase) -> None:
        lease.enter(phase)
        lease.check()
        message = {"type": "phase", "phase": phase.value, "attempt": attempt.job.attempt}
        attempt.stores.progress.publish(attempt.job.id, message)

    began = time.monotonic()
    enter(Phase.LOADING)
    with span("load"):
        recipe = bench.recipe_for(attempt.job.kind)
        checkpoints = Checkpoints(attempt, every_s=bench.checkpoint_s)
        loaded, resume = recipe.load(attempt), checkpoints.restore()
    enter(Phase.OPERATING)
    with span("operate"), closing(recipe.operate(loaded, resume)) as steps:
        result, stopped_early = follow(steps, attempt, lease, checkpoints)
    enter(Phase.SAVING)
    with span("save"), Writer(attempt.stores.objects) as writer:
        saved = recipe.save(replace(attempt, writer=writer), loaded, result)
    lease.check()
    facts = {"stopped_early": stopped_early, "seconds": round(time.monotonic() - began, 3)}
    return replace(saved, result={**saved.result, **facts})
