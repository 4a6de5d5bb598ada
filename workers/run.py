"""The one pipeline that every claimed job goes through."""

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from storage.errors import EditqError, LeaseLost
from storage.records import Claim, Job, Status
from storage.stores import Stores
from workers.attempt import Attempt, Saved
from workers.checkpoints import Checkpoints
from workers.follow import follow
from workers.lease import Lease, Phase, Stop, Stopped
from workers.models import Models
from workers.queue import Ring
from workers.recipe import AnyRecipe
from workers.retry import Fail, Limits, Retry, decide, named

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bench:
    """What one process has at hand for all the jobs it runs."""

    stores: Stores
    recipe_for: Callable[[str], AnyRecipe]
    models: Models
    ring: Ring
    worker: str
    draining: Callable[[], bool]
    lease_s: float
    checkpoint_s: float
    limits: Limits


def take(queue: str, bench: Bench) -> Job | None:
    """Claim the best eligible job of a queue and run it; None when there is none, or it was lost."""
    since = time.monotonic()  # before the claim: on this clock the lease never ends late
    if bench.draining():
        bench.ring(queue, "drain")
        return None
    claim = bench.stores.jobs.claim(queue, bench.worker, lease_s=bench.lease_s)
    return None if claim is None else run(claim, bench, since)


def run(claim: Claim, bench: Bench, since: float) -> Job | None:
    """Load, operate, save. Returns the row as this attempt left it, or None when another one owns it."""
    attempt = Attempt(claim, bench.stores, bench.models)
    lease = Lease(claim, bench.stores.jobs, lease_s=bench.lease_s, since=since, draining=bench.draining)
    log.info("job %s attempt %d: %s", claim.job.id, claim.job.attempt, claim.job.kind)
    with lease.beating():
        try:
            saved = perform(attempt, lease, bench)
            job = lease.insist(lambda: bench.stores.jobs.succeed(claim, saved.outputs, saved.result))
        except LeaseLost:
            log.warning("job %s attempt %d: lease lost", claim.job.id, claim.job.attempt)
            return None
        except (Exception, SystemExit) as error:  # noqa: BLE001  whatever it is, the row will say
            settled = settle(error, attempt, lease, bench)
            if settled is None:
                return None
            job = settled
    log.info("job %s attempt %d: %s", job.id, job.attempt, job.status)
    return job


def perform(attempt: Attempt, lease: Lease, bench: Bench) -> Saved:
    """The three phases. Nothing of the row is written here, its checkpoint pointer aside."""

    def enter(phase: Phase) -> None:
        lease.enter(phase)
        lease.check()
        message = {"type": "phase", "phase": phase.value, "attempt": attempt.job.attempt}
        attempt.stores.progress.publish(attempt.job.id, message)

    began = time.monotonic()
    enter(Phase.LOADING)
    recipe = bench.recipe_for(attempt.job.kind)
    checkpoints = Checkpoints(attempt, every_s=bench.checkpoint_s)
    loaded, resume = recipe.load(attempt), checkpoints.restore()
    enter(Phase.OPERATING)
    with closing(recipe.operate(loaded, resume)) as steps:
        result = follow(steps, attempt, lease, checkpoints)
    enter(Phase.SAVING)
    saved = recipe.save(attempt, loaded, result)
    lease.check()
    return Saved(saved.outputs, {**saved.result, "seconds": round(time.monotonic() - began, 3)})


def settle(error: BaseException, attempt: Attempt, lease: Lease, bench: Bench) -> Job | None:
    """Write on the row what an ended attempt means for its job."""
    jobs, claim = attempt.stores.jobs, attempt.claim
    try:
        match error:
            case Stopped(reason=Stop.CANCEL):
                return lease.insist(lambda: jobs.canceled(claim))
            case Stopped() | SystemExit():  # an exit from within is a drain too, without a checkpoint
                job = lease.insist(lambda: jobs.requeue(claim, reason="drain"))
                if job.status is Status.QUEUED:
                    bench.ring(job.queue, job.id)
                return job
        fault = named(error)
        log.error("job %s failed: %s", claim.job.id, fault.code, exc_info=error)
        bench.models.forgive(fault)
        return _count_failure(fault, attempt, lease, bench)
    except LeaseLost:
        log.warning("job %s attempt %d: lease lost", claim.job.id, claim.job.attempt)
        return None


def _count_failure(fault: EditqError, attempt: Attempt, lease: Lease, bench: Bench) -> Job:
    jobs, claim, why = attempt.stores.jobs, attempt.claim, fault.as_dict()
    match decide(fault, failures=claim.job.failures + 1, limits=bench.limits):
        case Retry(after_s=delay_s):
            return lease.insist(
                lambda: jobs.requeue(claim, reason="retry", delay_s=delay_s, error=why, failed=True)
            )
        case Fail():
            return lease.insist(lambda: jobs.fail(claim, why))
