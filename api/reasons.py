"""The reasons of an explanation: pure functions of a job and of what is known around it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from api.workers import WorkerView
from storage.limit_records import Held, Limit
from storage.records import GPU_QUEUE, Count, Event, Job, Priority, Queue, Status
from storage.usage import DAY_S


class Reason(BaseModel):
    """`code` is stable; the figures of the sentence are members beside it."""

    model_config = ConfigDict(extra="allow")

    code: str
    text: str


@dataclass(frozen=True)
class Facts:
    """`workers`: those of the job's queue. `limits`, `held`: of its tenant, while it waits. `now` is this
    process's clock, which may differ a little from the database's."""

    now: float
    ageing_s: float
    events: Sequence[Event]
    queue: Queue
    ahead: Mapping[Priority, int]
    workers: Sequence[WorkerView]
    board: bool
    progress: dict[str, Any] | None
    limits: Mapping[Limit, float]
    held: Held | None


def reasons(job: Job, facts: Facts) -> list[Reason]:
    """The weightiest first."""
    if job.status.ended:
        return [*_ended(job), *_counts(job)]
    tell = _waiting if job.status is Status.QUEUED else _running
    return [*tell(job, facts), *_counts(job)]


def _waiting(job: Job, facts: Facts) -> Iterator[Reason]:
    if facts.queue.paused:
        yield _reason("queue_paused", f"Queue {job.queue} is paused: nothing is taken from it.")
    yield from _put_back(job, facts)
    full = list(_limits(job, facts))
    yield from full
    yield from _place(job, facts)
    yield from _hands(job, facts, may=not full)
    if job.stop_requested:
        yield _reason(
            "stop_requested", "It was asked to stop: it ends with its best so far when a worker takes it."
        )
    yield from _deadlines(job, facts)


def _put_back(job: Job, facts: Facts) -> Iterator[Reason]:
    """Why it was running before and is not now."""
    last = next((event for event in reversed(facts.events) if event.type == Status.QUEUED), None)
    why = last.data.get("reason") if last is not None else None
    error, left_s = (last.data.get("error") if last else None) or {}, job.not_before - facts.now
    if left_s > 0:
        came = f": attempt {job.attempt} ended in {error['code']}: {error.get('detail', '')}" if error else ""
        yield _reason(
            "retry_later",
            f"It is not tried again before {_seconds(left_s)} have passed{came.rstrip('. ')}.",
            seconds_left=round(left_s, 1),
            error=error or None,
        )
    elif why is not None:
        text = (
            f"Attempt {job.attempt} was put back ({str(why).replace('_', ' ')}); the next goes on from there."
        )
        yield _reason("put_back", text, reason=why, error=error or None)


def _limits(job: Job, facts: Facts) -> Iterator[Reason]:
    """Those of its tenant that claims keep: they wait for no worker."""
    if facts.held is None:
        return
    most, running = facts.limits[Limit.JOBS_RUNNING], facts.held.jobs_running
    if 0 < most <= running:
        text = (
            f"{running} of your tenant's jobs run in queue {job.queue}, and {most:.0f} may run at once: "
            "it waits until fewer do."
        )
        yield _reason("tenant_jobs_running", text, limit=most, used=running)
    most_s, used_s = facts.limits[Limit.GPU_S_PER_DAY], facts.held.gpu_s_today
    if job.queue == GPU_QUEUE and 0 < most_s <= used_s:
        left_s = DAY_S - facts.now % DAY_S
        text = (
            f"Your tenant has used {used_s:.0f} of its {most_s:.0f} GPU seconds of today (UTC): "
            f"it waits for midnight, {_seconds(left_s)} from now."
        )
        figures = {"limit": most_s, "used": round(used_s, 3), "seconds_left": round(left_s, 1)}
        yield _reason("tenant_gpu_s_per_day", text, **figures)


def _place(job: Job, facts: Facts) -> Iterator[Reason]:
    counts_as, ahead = _class_now(job, facts), sum(facts.ahead.values())
    own = f"{job.priority.value}{f', as {counts_as.value} by now' if counts_as is not job.priority else ''}"
    classes = {priority.value: count for priority, count in facts.ahead.items()}
    figures = {"ahead": ahead, **classes, "priority": job.priority.value, "counts_as": counts_as.value}
    if ahead:
        which = ", ".join(f"{count} {name}" for name, count in classes.items() if count)
        jobs = "1 job is" if ahead == 1 else f"{ahead} jobs are"
        yield _reason("jobs_ahead", f"{jobs} ahead of it ({which}); it is {own}.", **figures)
    elif job.not_before <= facts.now:
        yield _reason("next", f"No job is ahead of it; it is {own}.", **figures)
    if any(worker.others for worker in facts.workers):
        yield _reason("turns", "Users take turns within a class: whoever was served least recently is next.")


def _class_now(job: Job, facts: Facts) -> Priority:
    """A job rises one class for each ageing time that it has waited."""
    risen = int(max(0.0, facts.now - job.created_at) / facts.ageing_s)
    return list(Priority)[max(0, job.priority.rank - risen)]


def _hands(job: Job, facts: Facts, *, may: bool) -> Iterator[Reason]:
    """Who could take it. `may`: whether its tenant's limits allow it."""
    states = [worker.state for worker in facts.workers if worker.state != "missing"]
    free, busy, draining = (states.count(state) for state in ("ready", "busy", "draining"))
    figures = {"ready": free, "busy": busy, "draining": draining}
    if not facts.board:
        yield _reason("board_dark", "The board does not answer: which workers are there is not known.")
    elif not states:
        yield _reason("no_worker", f"No worker of queue {job.queue} is there.", **figures)
    elif draining == len(states):
        yield _reason("workers_drained", "Every worker that is there was told to take nothing.", **figures)
    elif free == 0:
        workers = "The only worker" if busy == 1 else f"Each of the {busy} workers"
        yield _reason("workers_busy", f"{workers} that may take it runs another job.", **figures)
    elif may and not facts.queue.paused and job.not_before <= facts.now:
        yield _reason("worker_ready", "A worker is free: the next job is taken in a moment.", **figures)


def _running(job: Job, facts: Facts) -> Iterator[Reason]:
    began = next((event for event in reversed(facts.events) if event.type == Status.RUNNING), None)
    since_s = max(0.0, facts.now - (began.created_at if began else job.updated_at))
    yield _reason(
        "running",
        f"Attempt {job.attempt} runs on {job.worker}, for {_seconds(since_s)} now.",
        worker=job.worker,
        attempt=job.attempt,
        seconds=round(since_s, 1),
    )
    if job.cancel_requested:
        yield _reason("cancel_requested", "It was asked to cancel, and does so after its step.")
    elif job.stop_requested:
        yield _reason("stop_requested", "It was asked to stop, and ends after its step with its best so far.")
    yield from _progress(facts)
    yield from _worker(job, facts)
    yield from _deadlines(job, facts)


def _progress(facts: Facts) -> Iterator[Reason]:
    if facts.progress is None:
        dark = "The board does not answer" if not facts.board else "Its worker has not told of it yet"
        yield _reason("no_progress", f"{dark}: how far it is, is not known.")
    elif facts.progress.get("type") == "phase":
        phase = facts.progress.get("phase")
        yield _reason("phase", f"It is {phase}.", phase=phase)
    else:
        step, total = facts.progress.get("step"), facts.progress.get("total")
        left_s = facts.progress.get("seconds_left")
        left = "" if left_s is None else f", about {_seconds(left_s)} left"
        yield _reason(
            "progress", f"Step {step} of {total} is done{left}.", step=step, total=total, seconds_left=left_s
        )


def _worker(job: Job, facts: Facts) -> Iterator[Reason]:
    state = next((worker.state for worker in facts.workers if worker.name == job.worker), None)
    left_s = (job.lease_until or facts.now) - facts.now
    if left_s < 0:
        text = "Its lease has passed: housekeeping puts it back, and another worker goes on."
        yield _reason("lease_passed", text, seconds_left=round(left_s, 1))
    elif state == "missing":
        text = f"Its worker is not heard of: another goes on once its lease is over, in {_seconds(left_s)}."
        yield _reason("worker_missing", text, seconds_left=round(left_s, 1))
    elif state == "draining":
        yield _reason("worker_draining", "Its worker was told to put it back.")


def _ended(job: Job) -> Iterator[Reason]:
    took_s = max(0.0, (job.ended_at or job.updated_at) - job.created_at)
    figures = {"seconds": round(took_s, 1)}
    if job.status is Status.FAILED:
        error = job.error or {}
        detail = str(error.get("detail", "")).rstrip(".")
        yield _reason("failed", f"It failed as {error.get('code')}: {detail}.", error=error, **figures)
    elif job.status is Status.CANCELED:
        yield _reason("canceled", f"It was canceled, {_seconds(took_s)} after its submit.", **figures)
    elif job.result.get("stopped_early"):
        steps = job.result.get("steps")
        text = f"It was stopped early, and left the best of its {steps} steps."
        yield _reason("stopped_early", text, steps=steps, **figures)
    else:
        yield _reason("succeeded", f"It succeeded, {_seconds(took_s)} after its submit.", **figures)
    if job.outputs_expired_at is not None:
        yield _reason("outputs_expired", "Its outputs are gone: the time to keep them is over.")


def _deadlines(job: Job, facts: Facts) -> Iterator[Reason]:
    for code, moment, deed in (
        ("start_deadline", job.start_by if job.attempt == 0 else None, "begun"),
        ("finish_deadline", job.finish_by, "ended"),
    ):
        if moment is not None:
            left_s = moment - facts.now
            text = f"It fails unless it has {deed} within {_seconds(max(0.0, left_s))}."
            yield _reason(code, text, seconds_left=round(left_s, 1))


def _counts(job: Job) -> Iterator[Reason]:
    words = {
        Count.FAILURES: "ended in an error",
        Count.OUTAGES: "met a part of the platform that was away",
        Count.OUT_OF_MEMORY: "out of memory",
        Count.LOST: "lost with its worker",
        Count.DRAINS: "put back for a drain or a job of a higher class",
    }
    counts = {count.value: getattr(job, count.value) for count in Count}
    told = [f"{counts[count.value]} {text}" for count, text in words.items() if counts[count.value]]
    if told:
        attempts = "1 attempt" if job.attempt == 1 else f"{job.attempt} attempts"
        text = f"{attempts} so far: {', '.join(told)}."
        yield _reason("attempts", text, attempts=job.attempt, **counts)


def _reason(code: str, text: str, **figures: Any) -> Reason:
    return Reason(code=code, text=text, **figures)


def _seconds(seconds: float) -> str:
    """In words, as fine as one cares."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
