"""The life of a job: what workers, callers and housekeeping do to it, in any order, and what stays true.

Never two holders; no way out of a terminal state; the fence only counts up; outputs are those of the attempt
that won; what an event says happened once, in its order, and was told by one webhook call.
"""

import itertools
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from job_steps import ERROR, elapse, options
from sqlalchemy import text
from store_records import Records

from storage.errors import JobEnded, KeyReused, LeaseLost, NothingToStop
from storage.memory_jobs import MemoryJobs
from storage.memory_outbox import MemoryOutbox
from storage.records import FOLLOWS, Claim, Count, IdempotencyKey, Job, ObjectRef, Priority, Status

TENANTS = ("local", "somebody")
WORKERS = ("host:1", "host:2")
LEASE_S = 60.0
PASSING_S = 650.0  # more than a lease, a delay, a deadline, an ageing time
MAX_LOST = 2
OWN_COUNTS = [count for count in Count if count is not Count.LOST]  # a loss is noticed by others
HOOK = {"url": "https://example.org/hook", "events": ["running", "succeeded", "failed", "canceled"]}


@dataclass
class Known:
    """What must be true of a job."""

    holder: Claim | None = None
    attempt: int = 0
    ended: Job | None = None
    outputs: dict[str, ObjectRef] = field(default_factory=dict)


BACK = st.integers(0, 9)  # which claim: 0 is the newest


def claimed(life: "JobLife") -> bool:
    return bool(life.claims)


class JobLife(RuleBasedStateMachine):
    """`records` is the backend, emptied before each life."""

    records: Records
    jobs_known = Bundle("jobs_known")

    def __init__(self) -> None:
        super().__init__()
        empty(self.records)
        self.jobs = self.records.jobs
        self.known: dict[str, Known] = {}
        self.tenant_of: dict[str, str] = {}
        self.keys: dict[str, str] = {}
        self.claims: list[Claim] = []  # all that were ever given
        self.paused = False
        self.drained: set[str] = set()

    # What callers do

    @initialize(target=jobs_known, tenant_id=st.sampled_from(TENANTS))
    def begin(self, tenant_id: str) -> str:
        return self.submit(tenant_id, Priority.STANDARD, {})

    @precondition(lambda self: len(self.known) < 5)
    @rule(
        target=jobs_known,
        tenant_id=st.sampled_from(TENANTS),
        priority=st.sampled_from(Priority),
        deadlines=st.sampled_from([{}, {"start_within_s": 300}, {"finish_within_s": 300}]),
    )
    def submit(self, tenant_id: str, priority: Priority, deadlines: dict[str, float]) -> str:
        wanted = options(priority=priority, webhook=HOOK, **deadlines)
        return self._added(self.jobs.add(tenant_id, "edit", {}, options=wanted))

    @rule(target=jobs_known, key=st.sampled_from("ab"), digest=st.sampled_from("01"))
    def submit_under_a_key(self, key: str, digest: str) -> Any:
        try:
            job = self.jobs.add("local", "edit", {}, idempotency=IdempotencyKey(key, digest * 64))
        except KeyReused:
            assert self.keys[key] != digest
            return multiple()
        assert self.keys.setdefault(key, digest) == digest
        return multiple() if job.id in self.known else self._added(job)

    @rule(target=jobs_known, job_id=jobs_known)
    def retry(self, job_id: str) -> Any:
        """As the API does: an ended job is left as it is, and a new one names it."""
        job = self._get(job_id)
        if not job.status.ended:
            return multiple()
        new = self.jobs.add(job.tenant_id, job.kind, job.spec, retry_of=job.id)
        assert (new.retry_of, new.attempt, new.id != job.id) == (job.id, 0, True)
        return self._added(new)

    @rule(job_id=jobs_known, what=st.sampled_from(["stop", *Priority, "cancel"]))
    def wish(self, job_id: str, what: str) -> None:
        if what == "cancel":
            self._cancel(job_id)
        elif what == "stop":
            self._stop(job_id)
        else:
            self._set_priority(job_id, Priority(what))

    def _cancel(self, job_id: str) -> None:
        before = self._get(job_id)
        if self._refused(before, lambda: self.jobs.request_cancel(before.tenant_id, job_id)):
            return
        after = self._get(job_id)
        assert after.cancel_requested
        if before.status is Status.QUEUED:
            self._ended(after, Status.CANCELED)
        else:
            assert after.status is Status.RUNNING

    def _stop(self, job_id: str) -> None:
        before = self._get(job_id)
        try:
            refused = self._refused(before, lambda: self.jobs.request_stop(before.tenant_id, job_id))
        except NothingToStop:
            assert before.status is Status.QUEUED
            assert before.checkpoint is None
        else:
            assert refused or self._get(job_id).stop_requested

    def _set_priority(self, job_id: str, priority: Priority) -> None:
        before = self._get(job_id)
        if not self._refused(before, lambda: self.jobs.set_priority(before.tenant_id, job_id, priority)):
            assert self._get(job_id).priority is priority

    @rule(worker=st.sampled_from(WORKERS), what=st.sampled_from(["open", "open", "pause", "drain"]))
    def close(self, worker: str, what: str) -> None:
        """Or open again."""
        self.paused = what == "pause"
        self.jobs.pause("gpu", self.paused)
        self.drained = {worker} if what == "drain" else set()
        for each in WORKERS:
            self.jobs.drain(each, each in self.drained)

    # What workers do

    @rule(worker=st.sampled_from(WORKERS), pid=st.sampled_from([1, 2]))
    def claim(self, worker: str, pid: int) -> None:
        closed = self.paused or worker in self.drained
        eligible = [] if closed else [job for job in self._all() if may_be_claimed(job)]
        claim = self.jobs.claim("gpu", worker, lease_s=LEASE_S, pid=pid)
        if claim is None:
            assert not eligible
            return
        job, known = claim.job, self.known[claim.job.id]
        (before,) = (other for other in eligible if other.id == job.id)
        assert rank(before) == min(map(rank, eligible))
        mine = [o for o in eligible if (o.tenant_id, o.priority) == (before.tenant_id, before.priority)]
        assert before == min(mine, key=lambda other: (other.created_at, other.id))
        assert known.holder is None
        assert job.attempt == known.attempt + 1
        known.holder, known.attempt = claim, job.attempt
        self.claims.append(claim)

    @precondition(claimed)
    @rule(back=BACK)
    def renew(self, back: int) -> None:
        claim = self._claim(back)
        before = self._get(claim.job.id)
        if self._held(claim, lambda: self.renewals.append(self.jobs.renew(claim, lease_s=LEASE_S))):
            renewal = self.renewals.pop()
            wishes = (before.cancel_requested, before.stop_requested, claim.job.worker in self.drained)
            assert (renewal.cancel_requested, renewal.stop_requested, renewal.draining) == wishes

    renewals: list[Any]

    @precondition(claimed)
    @rule(back=BACK)
    def checkpoint(self, back: int) -> None:
        claim = self._claim(back)
        ref = ref_of(claim, "checkpoint")
        if self._held(claim, lambda: self.jobs.checkpointed(claim, ref)):
            assert self._get(claim.job.id).checkpoint == ref

    @precondition(claimed)
    @rule(back=BACK, count=st.sampled_from(OWN_COUNTS), delay_s=st.sampled_from([0.0, 100.0]))
    def requeue(self, back: int, count: Count, delay_s: float) -> None:
        claim = self._claim(back)
        before = self._get(claim.job.id)
        if self._held(claim, lambda: self.jobs.requeue(claim, reason="retry", count=count, delay_s=delay_s)):
            after = self._get(claim.job.id)
            assert getattr(after, count.value) == getattr(before, count.value) + 1
            self._left(after, before)

    @precondition(claimed)
    @rule(back=BACK, how=st.sampled_from(["succeed", "fail", "cancel"]))
    def end(self, back: int, how: str) -> None:
        claim = self._claim(back)
        if how == "succeed":
            self._succeed(claim)
        elif how == "fail":
            if self._held(claim, lambda: self.jobs.fail(claim, ERROR)):
                self._ended(self._get(claim.job.id), Status.FAILED)
        elif self._held(claim, lambda: self.jobs.canceled(claim)):
            self._ended(self._get(claim.job.id), Status.CANCELED)

    def _succeed(self, claim: Claim) -> None:
        outputs, known = {"a.png": ref_of(claim, "outputs")}, self.known[claim.job.id]
        own = known.ended is not None and known.outputs == outputs  # said once more: nothing happens
        if self._held(claim, lambda: self.jobs.succeed(claim, outputs, {}), own_success=own) and not own:
            known.outputs = outputs
            self._ended(self._get(claim.job.id), Status.SUCCEEDED)

    @precondition(claimed)
    @rule(back=BACK, at=st.sampled_from(["renew", "succeed", "requeue"]))
    def forge(self, back: int, at: str) -> None:
        """Another's token is of no use, nor is one's own for another attempt."""
        claim = self._claim(back)
        for forged in (Claim(claim.job, "f" * 64), Claim(self._next(claim), claim.token)):
            with pytest.raises(LeaseLost):
                {
                    "renew": lambda forged=forged: self.jobs.renew(forged, lease_s=LEASE_S),
                    "succeed": lambda forged=forged: self.jobs.succeed(forged, {}, {}),
                    "requeue": lambda forged=forged: self.jobs.requeue(
                        forged, reason="drain", count=Count.DRAINS
                    ),
                }[at]()

    # What housekeeping does

    @rule(job_id=jobs_known, kept=st.booleans())
    def time_passes(self, job_id: str, kept: bool) -> None:
        """Longer than a lease; after it housekeeping may come, or somebody else first."""
        if self.known[job_id].ended is None:
            elapse(self.records, self._get(job_id), PASSING_S)
        if kept:
            self.keep_house()

    @rule()
    def keep_house(self) -> None:
        late = {job.id: job for job in self._all() if is_overdue(job)}
        changed = self.jobs.overdue()
        assert {job.id for job in changed} == set(late)
        for job in changed:
            self._ended(job, Status.CANCELED if late[job.id].cancel_requested else Status.FAILED)
        now = time.time()
        expired = [job for job in self._all() if job.lease_until is not None and job.lease_until < now]
        self._lost(expired, self.jobs.expire(max_lost=MAX_LOST))

    @rule(worker=st.sampled_from(WORKERS), pid=st.sampled_from([1, 2]))
    def die(self, worker: str, pid: int) -> None:
        """A process of a worker's, and its parent notices."""
        dead = [
            job
            for job in self._all()
            if job.status is Status.RUNNING and (job.worker, job.worker_pid) == (worker, pid)
        ]
        self._lost(dead, self.jobs.release(worker, pid, cause="killed by signal 9", max_lost=MAX_LOST))

    # What is always true

    @invariant()
    def rows_are_what_they_must_be(self) -> None:
        for job in self._all():
            known = self.known[job.id]
            assert job.attempt == known.attempt
            assert (job.status is Status.RUNNING) == (known.holder is not None)
            assert job.lost == len(job.losses) <= MAX_LOST
            assert job.outputs == known.outputs
            assert known.ended is None or job == known.ended
            if job.status is Status.SUCCEEDED:
                assert job.outputs["a.png"].key.startswith(f"{job.id}/{job.attempt}/")

    def teardown(self) -> None:
        """Every change was told once, in its order, and told on where that was asked for."""
        for job_id in self.known:
            job = self._get(job_id)
            events = self.jobs.events(job.tenant_id, job_id)
            assert [event.number for event in events] == list(range(1, len(events) + 1))
            states = [Status(event.type) for event in events if event.type in set(Status)]
            assert states[-1] is job.status
            for earlier, later in itertools.pairwise(states):
                assert later in FOLLOWS[earlier]
            assert states.count(Status.RUNNING) == job.attempt
            asked = job.webhook["events"] if job.webhook else []
            calls = [f"{job_id}-{event.number}" for event in events if event.type in asked]
            assert [call.id for call in self.records.outbox.list(job.tenant_id, job_id)] == calls

    def _claim(self, back: int) -> Claim:
        return self.claims[-1 - back % len(self.claims)]

    def _added(self, job: Job) -> str:
        assert job.id not in self.known
        self.known[job.id], self.tenant_of[job.id] = Known(), job.tenant_id
        return job.id

    def _get(self, job_id: str) -> Job:
        return self.jobs.get(self.tenant_of[job_id], job_id)

    def _all(self) -> list[Job]:
        return [job for tenant_id in TENANTS for job in self.jobs.list(tenant_id, limit=200).items]

    def _refused(self, before: Job, ask: Any) -> bool:
        """Ask a wish of a job: refused where it has ended, and only there."""
        try:
            ask()
        except JobEnded:
            assert before.status.ended
            return True
        assert not before.status.ended
        return False

    def _held(self, claim: Claim, write: Any, *, own_success: bool = False) -> bool:
        """Write under a claim: accepted from the one holder, and from nobody else."""
        self.renewals = []
        holder = self.known[claim.job.id].holder
        try:
            write()
        except LeaseLost:
            assert holder is not claim
            assert not own_success
            return False
        assert holder is claim or own_success
        return True

    def _lost(self, before: list[Job], changed: tuple[Job, ...]) -> None:
        assert {job.id for job in changed} == {job.id for job in before}
        rows = {job.id: job for job in before}
        for job in changed:
            assert job.lost == rows[job.id].lost + 1
            if job.lost >= MAX_LOST and not rows[job.id].cancel_requested:
                assert job.error is not None
                assert job.error["code"] == "quarantined"
                self._ended(job, Status.FAILED)
            else:
                self._left(job, rows[job.id])

    def _left(self, after: Job, before: Job) -> None:
        """An attempt is over and the job is not, unless a cancel was asked for."""
        if before.cancel_requested:
            self._ended(after, Status.CANCELED)
        else:
            assert after.status is Status.QUEUED
            self.known[after.id].holder = None

    def _ended(self, job: Job, status: Status) -> None:
        known = self.known[job.id]
        assert known.ended is None
        assert job.status is status
        known.holder, known.ended = None, job

    def _next(self, claim: Claim) -> Job:
        members = {name: getattr(claim.job, name) for name in Job.__slots__}
        return Job(**members | {"attempt": claim.job.attempt + 1})


def may_be_claimed(job: Job) -> bool:
    now = time.time() + 1
    begins = job.started_at is not None or job.start_by is None or job.start_by > now
    return (
        job.status is Status.QUEUED
        and job.not_before <= now
        and begins
        and (job.finish_by is None or job.finish_by > now)
    )


def is_overdue(job: Job) -> bool:
    start_by = job.start_by if job.started_at is None else None
    return not job.status.ended and any(
        by is not None and by < time.time() for by in (start_by, job.finish_by)
    )


def rank(job: Job) -> int:
    return max(0, job.priority.rank - int((time.time() - job.created_at) / 600))


def ref_of(claim: Claim, what: str) -> ObjectRef:
    return ObjectRef(f"{claim.job.id}/{claim.job.attempt}/{what}", "0" * 64, 3, "image/png")


def empty(records: Records) -> None:
    if records.database is None:
        records.jobs = MemoryJobs()
        records.outbox = MemoryOutbox(records.jobs)
        return
    with records.database.write() as connection:
        for table in ("jobs", "turns", "pauses", "drains"):  # events, deliveries and keys go with the jobs
            connection.execute(text(f"DELETE FROM {table}"))


@pytest.mark.parametrize("lives", [4, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.timeout(900)
def test_the_life_of_a_job(records: Records, lives: int) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        type("Life", (JobLife,), {"records": records}),
        settings=settings(
            max_examples=lives if records.database else 10 * lives,
            stateful_step_count=100,
            deadline=None,
            suppress_health_check=checks,
        ),
    )
