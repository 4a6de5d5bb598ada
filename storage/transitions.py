"""What a job's row becomes, decided in one place for every backend: pure functions of the row and the wish.

`now` is a float (memory) or an SQL expression (the database's clock): only `now + seconds` is computed here.
Each Change also is an event: its type is the new status, or "cancel_requested", "stop_requested",
"priority_changed".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.errors import DeadlinePassed, JobEnded, KeyReused, NothingToStop, Quarantined
from storage.plain import plain, ref_to_dict
from storage.records import FOLLOWS, GPU_QUEUE, Count, IdempotencyKey, Job, ObjectRef, Priority, Status

_RELEASED = {"token": None, "lease_until": None, "worker_pid": None, "claimed_at": None}


@dataclass(frozen=True, slots=True)
class Change:
    """Columns to set, and the event that tells of it (None: nothing new to tell)."""

    values: dict[str, Any]
    event: str | None
    data: dict[str, Any]


def cancel(job: Job, now: Any) -> Change:
    """A cancel asked for from outside. Raises JobEnded."""
    _refuse_ended(job)
    if job.status is Status.QUEUED:
        return canceled(job, now, reason="cancel_requested")
    told = None if job.cancel_requested else "cancel_requested"
    return Change({"cancel_requested": True}, told, {"attempt": job.attempt})


def stop(job: Job) -> Change:
    """An early end asked for from outside. Raises JobEnded, NothingToStop."""
    _refuse_ended(job)
    if job.status is Status.QUEUED and job.checkpoint is None:
        raise NothingToStop(f"Job {job.id} has no step to keep yet: cancel it, or wait until it runs.")
    told = None if job.stop_requested else "stop_requested"
    return Change({"stop_requested": True}, told, {"attempt": job.attempt})


def set_priority(job: Job, priority: Priority) -> Change:
    """Raises JobEnded."""
    _refuse_ended(job)
    told = None if job.priority is priority else "priority_changed"
    data = {"priority": priority.value, "before": job.priority.value}
    return Change({"priority": priority.rank}, told, data)


def requeue(
    job: Job,
    now: Any,
    *,
    reason: str,
    count: Count,
    delay_s: float = 0.0,
    error: Mapping[str, Any] | None = None,
) -> Change:
    """Back into the queue, unless a cancel was asked for meanwhile: that wins."""
    counts = _counted(job, count)
    if job.cancel_requested:
        return _with(canceled(job, now, reason=reason), counts)
    data: dict[str, Any] = {"reason": reason, "attempt": job.attempt, "delay_s": delay_s, **counts}
    if error is not None:
        data["error"] = plain(error)
    values = {"not_before": now + delay_s, "worker": None, **_RELEASED, **counts}
    return _become(job, now, Status.QUEUED, values, data)


def succeed(
    job: Job,
    now: Any,
    outputs: Mapping[str, ObjectRef],
    result: Mapping[str, Any],
    *,
    held_s: float | None = None,
) -> Change:
    """held_s: as of an Ending."""
    kept = {name: ref_to_dict(ref) for name, ref in outputs.items()}
    values: dict[str, Any] = {"outputs": kept, "result": plain(result)}
    if held_s is not None and job.queue == GPU_QUEUE:
        values["gpu_s"] = job.gpu_s + held_s
    return _end(job, now, Status.SUCCEEDED, values, {"attempt": job.attempt})


def fail(job: Job, now: Any, error: Mapping[str, Any], *, count: Count) -> Change:
    """For good, by an error of this attempt's."""
    return _with(_failed(job, now, error), _counted(job, count))


def canceled(job: Job, now: Any, *, reason: str) -> Change:
    data = {"attempt": job.attempt, "reason": reason}
    return _end(job, now, Status.CANCELED, {"cancel_requested": True}, data)


def lose(job: Job, now: float, *, reason: str, cause: str, max_lost: int) -> Change:
    """What becomes of a running row whose worker is gone: `cause` is kept for whoever looks for it."""
    loss = {"attempt": job.attempt, "worker": job.worker, "cause": cause, "at": now}
    losses = [*job.losses, loss]
    if job.cancel_requested or job.lost + 1 < max_lost:
        change = requeue(job, now, reason=reason, count=Count.LOST)
    else:
        text = f"Its worker was lost {job.lost + 1} times while it ran this job, the last time: {cause}."
        change = fail(job, now, Quarantined(text, losses).as_dict(), count=Count.LOST)
    held_until = now if job.lease_until is None else min(now, job.lease_until)
    values = change.values | {"losses": losses} | _gpu_time(job, held_until)
    return Change(values, change.event, {**change.data, "cause": cause})


def overdue(job: Job, now: float) -> Change:
    """What becomes of an open row whose time to start, or to finish, has passed."""
    if job.cancel_requested:
        return canceled(job, now, reason="deadline_passed")
    late = job.finish_by is not None and job.finish_by < now
    text = "It had not finished when its time was over." if late else "It had not begun when it should have."
    return _failed(job, now, DeadlinePassed(text).as_dict())


def refuse_another_request(idempotency: IdempotencyKey, sha256: str, job_id: str) -> None:
    """Raises KeyReused where a known key made its job for a request of another digest."""
    if idempotency.sha256 != sha256:
        raise KeyReused(f"This Idempotency-Key was used for another request, that of job {job_id}.")


def _refuse_ended(job: Job) -> None:
    if job.status.ended:
        raise JobEnded(f"Job {job.id} has already {job.status.value}.")


def _counted(job: Job, count: Count) -> dict[str, int]:
    return {count.value: getattr(job, count.value) + 1}


def _with(change: Change, values: dict[str, int]) -> Change:
    return Change(change.values | values, change.event, change.data | values)


def _failed(job: Job, now: Any, error: Mapping[str, Any]) -> Change:
    kept = plain(error)
    return _end(job, now, Status.FAILED, {"error": kept}, {"attempt": job.attempt, "error": kept})


def _end(job: Job, now: Any, status: Status, values: dict[str, Any], data: dict[str, Any]) -> Change:
    return _become(job, now, status, {"ended_at": now, **_RELEASED, **values}, data)


def _become(job: Job, now: Any, status: Status, values: dict[str, Any], data: dict[str, Any]) -> Change:
    assert status in FOLLOWS[job.status], f"{status} cannot follow {job.status}"
    return Change({"status": status.value, **_gpu_time(job, now), **values}, status.value, data)


def _gpu_time(job: Job, until: Any) -> dict[str, Any]:
    """What the attempt that ends now adds to the time for which a GPU worker was held."""
    if job.queue != GPU_QUEUE or job.claimed_at is None:
        return {}
    return {"gpu_s": until + (job.gpu_s - job.claimed_at)}
