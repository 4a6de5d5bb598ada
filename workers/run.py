"""The one pipeline that every claimed job goes through: small ones, claimed together, side by side."""

import contextvars
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

from storage.batch_records import CHUNK, VALIDATE, BatchStatus
from storage.library_records import Ending
from storage.log import about_job
from storage.records import CPU_QUEUE, GPU_QUEUE, Claim, Job
from storage.tracing import span
from workers.attempt import Attempt, Saved
from workers.bench import Bench
from workers.checkpoints import Checkpoints
from workers.follow import follow
from workers.lease import Lease, Phase, beating
from workers.settle import settle, settle_stall
from workers.writing import Writer

log = logging.getLogger(__name__)


def take(queue: str, bench: Bench) -> tuple[Job, ...]:
    """Claim the best eligible job of a queue, or several small ones, and run them: their rows as this left
    them, less those that were lost. Empty, too, when there was none."""
    since = time.monotonic()  # before the claim: on this clock the lease never ends late
    if bench.draining():
        bench.ring(queue, "drain")
        return ()
    claims = bench.stores.jobs.claim_together(
        queue, bench.worker, lease_s=bench.lease_s, pid=os.getpid(), most=bench.pace.most
    )
    if not claims:
        return ()
    if claims[0].job.kind == CHUNK:  # the next one has come into the queue
        bench.ring(queue, claims[0].job.id)
    jobs = run(claims, bench, since)
    for job in jobs:
        if job.batch_id is not None:
            ring_on(job, bench)
    return jobs


def ring_on(job: Job, bench: Bench) -> None:
    """For what came into the queues as this job of a batch ended."""
    batch = bench.stores.batches.get(job.tenant_id, job.batch_id or "")
    if job.kind == VALIDATE:
        for _ in range(min(batch.ready, batch.chunks)):
            bench.ring(GPU_QUEUE, job.id)
    elif batch.status is BatchStatus.FINISHING:
        bench.ring(CPU_QUEUE, job.id)


def run(claims: Sequence[Claim], bench: Bench, since: float) -> tuple[Job, ...]:
    """Each phase for all of them, told of where it lasts, and one transaction for all that succeed. One that
    fails, is canceled or is lost leaves; the others go on. Returns the rows, less those that another attempt
    owns."""
    runs = [Run(claim, bench, since) for claim in claims]
    try:
        with beating([each.lease for each in runs], bench.guard):
            try:
                _phases(runs, bench, since)
            except SystemExit as error:  # an exit from within ends them all
                for each in runs:
                    each.leave(error)
            ended = [each for each in runs if each.job is not None]
            _tell(ended, bench, {"type": "state"})  # look at the row
    finally:
        for each in runs:
            each.close()
    return tuple(each.job for each in ended if each.job is not None)


def _phases(runs: "Sequence[Run]", bench: Bench, since: float) -> None:
    going, short = list(runs), bench.pace.short(runs[0].attempt.job.kind)
    for phase, work in ((Phase.LOADING, Run.load), (Phase.OPERATING, Run.operate), (Phase.SAVING, Run.save)):
        going = [each for each in going if each.does(lambda run: run.lease.check())]
        for each in going:
            each.lease.enter(phase)
        if not short:
            _tell(going, bench, {"type": "phase", "phase": phase.value})
        if phase is Phase.OPERATING and len(going) > 1:
            _share(going, bench)
        going = [each for each in going if each.does(work)]
    if len(going) == len(runs) > 1:
        _succeed_together(runs, bench, since)
    for each in going:
        if each.job is None:
            each.does(Run.succeed)
    bench.pace.took(runs[0].attempt.job.kind, (time.monotonic() - since) / len(runs))


def _share(runs: "Sequence[Run]", bench: Bench) -> None:
    """What the operations of all of them have in common, at once."""
    together = bench.recipe_for(runs[0].attempt.job.kind).together
    if together is None:
        return
    try:
        together([each.loaded for each in runs])
    except Exception as error:  # noqa: BLE001  of one of them perhaps: each finds out for itself
        log.warning("%d jobs could not operate together: %s", len(runs), error)


def _succeed_together(runs: "Sequence[Run]", bench: Bench, since: float) -> None:
    """In one transaction; who has no row after it is asked for alone."""
    held_s = (time.monotonic() - since) / len(runs)
    endings = [each.ending(held_s) for each in runs]
    try:
        rows = bench.stores.jobs.succeed_together(endings)
    except Exception as error:  # noqa: BLE001  of one of them perhaps: each tells for itself
        log.warning("%d jobs could not end together: %s", len(runs), error)
        return
    for each, row in zip(runs, rows, strict=True):
        if row is not None:
            each.end(row)


def _tell(runs: "Sequence[Run]", bench: Bench, message: dict[str, Any]) -> None:
    messages = {each.id: {**message, "attempt": each.attempt.job.attempt} for each in runs}
    if messages:
        bench.stores.progress.publish_all(messages)


class Run:
    """One claimed job on its way through the phases, in a context of its own: its lines, its spans.

    job     its row as this attempt left it; None before that, and where another one owns it
    loaded  what its recipe loaded
    """

    def __init__(self, claim: Claim, bench: Bench, since: float) -> None:
        self.id = claim.job.id
        self.job: Job | None = None
        self.attempt = Attempt(claim, bench.stores, bench.models)
        self.lease = keep(self.attempt, bench, since)
        self._bench = bench
        self._began = time.monotonic()
        self._checkpoints = Checkpoints(self.attempt, every_s=bench.checkpoint_s)
        self._writer = Writer(bench.stores.objects)
        self.loaded: Any = None
        self._resume: Any = None
        self._operated: Any = None
        self._stopped_early = False
        self._saved: Saved | None = None
        self._context = contextvars.copy_context()
        self._open = ExitStack()
        self._told = self._context.run(self._enter)

    def _enter(self) -> dict[str, Any]:
        job = self.attempt.job
        facts: dict[str, str | float] = {
            "job_id": job.id,
            "attempt": job.attempt,
            "job_kind": job.kind,
            "waited_s": max(0.0, job.updated_at - job.not_before),
        }
        self._open.enter_context(about_job(job))
        self._open.callback(self._writer.wait)
        told = self._open.enter_context(span(f"attempt {job.kind}", job.trace, kind="consumer", **facts))
        log.info("job %s attempt %d: %s", job.id, job.attempt, job.kind)
        return told

    def does(self, work: "Callable[[Run], None]") -> bool:
        """Do a piece of it. What ends it is settled; whether it goes on."""
        try:
            self._context.run(work, self)
        except Exception as error:  # noqa: BLE001  whatever it is, the row will say
            self.leave(error)
            return False
        return True

    def leave(self, error: BaseException) -> None:
        """Settle what ended it, unless it has ended. The lease is kept meanwhile."""
        if not self.lease.over:
            self.end(self._context.run(settle, error, self.attempt, self.lease, self._bench))

    def end(self, job: Job | None) -> None:
        self.job = job
        self.lease.end()

    def load(self) -> None:
        with span("load"):
            recipe = self._bench.recipe_for(self.attempt.job.kind)
            self.loaded, self._resume = recipe.load(self._attempt()), self._checkpoints.restore()

    def operate(self) -> None:
        recipe = self._bench.recipe_for(self.attempt.job.kind)
        with span("operate"), closing(recipe.operate(self.loaded, self._resume)) as steps:
            followed = follow(steps, self._attempt(), self.lease, self._checkpoints)
        self._operated, self._stopped_early = followed

    def save(self) -> None:
        recipe = self._bench.recipe_for(self.attempt.job.kind)
        with span("save"):
            self._saved = recipe.save(self._attempt(), self.loaded, self._operated)
            self._writer.finish()
        self.lease.check()

    def _attempt(self) -> Attempt:
        return replace(self.attempt, moved=self.lease.touch, writer=self._writer)

    def ending(self, held_s: float | None = None) -> Ending:
        """Nothing of the row is written before this, its checkpoint pointer aside."""
        assert self._saved is not None, "it was saved"
        facts = {
            "stopped_early": self._stopped_early,
            "seconds": round(time.monotonic() - self._began, 3),
        }
        saved = self._saved
        return Ending(self.attempt.claim, saved.outputs, {**saved.result, **facts}, saved.kept, held_s)

    def succeed(self) -> None:
        end, jobs = self.ending(), self.attempt.stores.jobs
        row = self.lease.insist(lambda: jobs.succeed(end.claim, end.outputs, end.result, kept=end.kept))
        self.end(row)

    def close(self) -> None:
        def close() -> None:
            self._told["status"] = "lost" if self.job is None else self.job.status.value
            if self.job is not None:
                log.info("job %s attempt %d: %s", self.id, self.job.attempt, self.job.status)
            self._open.close()

        self._context.run(close)


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
