"""What the end of an attempt means for its job, written on the row."""

import logging

from gpu_ops.memory import let_go
from storage.errors import DeviceFailed, EditqError, LeaseLost, Stalled
from storage.meters import meters
from storage.records import Count, Job, Status
from workers.attempt import Attempt
from workers.bench import Bench
from workers.lease import Lease, Stop, Stopped
from workers.retry import Fail, Retry, decide, named

log = logging.getLogger(__name__)


def settle(error: BaseException, attempt: Attempt, lease: Lease, bench: Bench) -> Job | None:
    """After an attempt that did not succeed. None when another one owns the row."""
    jobs, claim = attempt.stores.jobs, attempt.claim
    try:
        match error:
            case LeaseLost():
                return _hand_back_late(attempt, lease, bench)
            case Stopped(reason=Stop.CANCEL):
                return lease.insist(lambda: jobs.canceled(claim))
            case Stopped(reason=Stop.GIVE_WAY):
                return _put_back(attempt, lease, bench, reason=Stop.GIVE_WAY.value)
            case Stopped() | SystemExit():  # an exit from within is a drain too, without a checkpoint
                return _put_back(attempt, lease, bench, reason=Stop.DRAIN.value)
        let_go(error)
        fault = named(error)
        bench.models.forgive(fault)
        log.error("job %s failed: %s", claim.job.id, fault.code, exc_info=error)
        job = _count(fault, attempt, lease, bench)
    except LeaseLost:
        _tell_loss(attempt)
        return None
    if isinstance(fault, DeviceFailed):  # every later use of it in this process would fail as well
        bench.guard.end()
    return job


def settle_stall(fault: Stalled, attempt: Attempt, lease: Lease, bench: Bench) -> None:
    """From the heartbeat's thread: the loop hangs, so this process ends, once the row says why."""
    try:
        _count(fault, attempt, lease, bench)
    except LeaseLost:
        _tell_loss(attempt)
    finally:
        bench.guard.end()


def _tell_loss(attempt: Attempt) -> None:
    meters().leases_lost.inc()
    log.warning("job %s attempt %d: lease lost", attempt.job.id, attempt.job.attempt)


def _put_back(
    attempt: Attempt,
    lease: Lease,
    bench: Bench,
    *,
    reason: str,
    count: Count = Count.DRAINS,
    beyond_s: float = 0.0,
) -> Job:
    """Requeue a job that did nothing wrong, and say so at once."""
    jobs, claim = attempt.stores.jobs, attempt.claim
    job = lease.insist(lambda: jobs.requeue(claim, reason=reason, count=count), beyond_s=beyond_s)
    if job.status is Status.QUEUED:
        bench.ring(job.queue, job.id)
    return job


def _hand_back_late(attempt: Attempt, lease: Lease, bench: Bench) -> Job:
    """The lease passed because storage was away: where nobody has noticed yet, that is an outage, no loss.

    Raises LeaseLost when somebody has, or storage is away for another lease.
    """
    if lease.refused or not lease.passed:  # (a stall is settled by the heartbeat)
        raise LeaseLost("The row is not this attempt's to write.")
    return _put_back(
        attempt, lease, bench, reason="lease_expired", count=Count.OUTAGES, beyond_s=lease.lease_s
    )


def _count(fault: EditqError, attempt: Attempt, lease: Lease, bench: Bench) -> Job:
    """Requeue, or fail for good. Raises LeaseLost."""
    jobs, claim, why = attempt.stores.jobs, attempt.claim, fault.as_dict()
    match decide(fault, claim.job, bench.limits):
        case Retry(count=count, after_s=delay_s):
            return lease.insist(
                lambda: jobs.requeue(claim, reason="retry", count=count, delay_s=delay_s, error=why)
            )
        case Fail(count=count):
            return lease.insist(lambda: jobs.fail(claim, why, count=count))
