"""What a job's row becomes, decided in one place for every backend: pure functions of the row and the wish.

`now` is a float (memory) or an SQL expression (the database's clock): only `now + seconds` is computed here.
Each Change also is an event: its type is the new status, or "cancel_requested".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.errors import JobEnded, WorkerLost
from storage.plain import plain, ref_to_dict
from storage.records import FOLLOWS, Job, ObjectRef, Status

_RELEASED = {"token": None, "lease_until": None}


@dataclass(frozen=True, slots=True)
class Change:
    """Columns to set, and the event that tells of it (None: nothing new to tell)."""

    values: dict[str, Any]
    event: str | None
    data: dict[str, Any]


def cancel(job: Job, now: Any) -> Change:
    """A cancel asked for from outside. Raises JobEnded."""
    if job.status.ended:
        raise JobEnded(f"Job {job.id} has already {job.status.value}.")
    if job.status is Status.QUEUED:
        return canceled(job, now, reason="cancel_requested")
    told = None if job.cancel_requested else "cancel_requested"
    return Change({"cancel_requested": True}, told, {"attempt": job.attempt})


def requeue(
    job: Job,
    now: Any,
    *,
    reason: str,
    delay_s: float = 0.0,
    error: Mapping[str, Any] | None = None,
    failed: bool = False,
    lost: bool = False,
) -> Change:
    """Back into the queue, unless a cancel was asked for meanwhile: that wins."""
    counts = {"failures": job.failures + failed, "lost": job.lost + lost}
    if job.cancel_requested:
        change = canceled(job, now, reason=reason)
        return Change(change.values | counts, change.event, change.data)
    data: dict[str, Any] = {"reason": reason, "attempt": job.attempt, "delay_s": delay_s, **counts}
    if error is not None:
        data["error"] = plain(error)
    values = {"not_before": now + delay_s, "worker": None, **_RELEASED, **counts}
    return _become(job, Status.QUEUED, values, data)


def succeed(job: Job, now: Any, outputs: Mapping[str, ObjectRef], result: Mapping[str, Any]) -> Change:
    kept = {name: ref_to_dict(ref) for name, ref in outputs.items()}
    values = {"outputs": kept, "result": plain(result)}
    return _end(job, now, Status.SUCCEEDED, values, {"attempt": job.attempt})


def fail(job: Job, now: Any, error: Mapping[str, Any]) -> Change:
    """For good, by an error of this attempt's, which counts as a failure."""
    change = _failed(job, now, error)
    return Change(change.values | {"failures": job.failures + 1}, change.event, change.data)


def canceled(job: Job, now: Any, *, reason: str) -> Change:
    data = {"attempt": job.attempt, "reason": reason}
    return _end(job, now, Status.CANCELED, {"cancel_requested": True}, data)


def expire(job: Job, now: Any, *, max_lost: int) -> Change:
    """What becomes of a running row whose lease has passed."""
    if job.cancel_requested or job.lost + 1 < max_lost:
        return requeue(job, now, reason="lease_expired", lost=True)
    lost = WorkerLost(f"The worker was lost {job.lost + 1} times while it ran this job.")
    change = _failed(job, now, lost.as_dict())
    return Change(change.values | {"lost": job.lost + 1}, change.event, change.data)


def _failed(job: Job, now: Any, error: Mapping[str, Any]) -> Change:
    kept = plain(error)
    return _end(job, now, Status.FAILED, {"error": kept}, {"attempt": job.attempt, "error": kept})


def _end(job: Job, now: Any, status: Status, values: dict[str, Any], data: dict[str, Any]) -> Change:
    return _become(job, status, {"ended_at": now, **_RELEASED, **values}, data)


def _become(job: Job, status: Status, values: dict[str, Any], data: dict[str, Any]) -> Change:
    assert status in FOLLOWS[job.status], f"{status} cannot follow {job.status}"
    return Change({"status": status.value, **values}, status.value, data)
