"""A job that kills its workers, a message delivered many times, many rows, a cancel at the last moment."""

import contextlib
import secrets
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any

from celery import Celery

from chaos.checks import Check, Fault, Figure, Told, at_most, equal
from chaos.judge import Submitted
from chaos.parts import DEPLOYED, EMBEDDED, until
from chaos.recipes import STEP_S
from chaos.world import World, pause
from storage.errors import LeaseLost
from storage.records import Claim, Count
from workers.queue import TASK

WAITING_ROWS = 10_000
REDIS_BYTES = 32 << 20


def poison(world: World, rng: Random) -> Told:
    """One of 21 jobs kills its process each time, at any place in the queue."""
    place = rng.randrange(21)
    jobs = [
        world.submit("poison", steps=5)
        if index == place
        else world.submit(steps=3, lr=rng.randint(1, 1000) / 1000)
        for index in range(21)
    ]
    bad = jobs.pop(place)
    yield from world.judge.one_end(bad, "failed", within_s=180)
    row = world.judge.row(bad)
    yield equal("error", row["error"] and row["error"]["code"], "quarantined")
    yield equal("lost", row["lost"], 3)
    losses = (row["error"] or {}).get("losses", [])
    yield equal("losses told of", [loss["attempt"] for loss in losses], [1, 2, 3])
    yield Check(
        "with worker and cause", all(loss["worker"] and loss["cause"] for loss in losses), str(losses)
    )
    for job in jobs:
        yield from world.judge.one_end(job, within_s=180)


POISON = Fault(
    name="poison",
    story="a poison job among 20 good ones",
    promise="quarantined after 3 losses with its diagnosis; its neighbours finish",
    run=poison,
    bar=20,
    stacks=(EMBEDDED, DEPLOYED),
)


def duplicates(world: World, rng: Random) -> Told:
    """The message of one job is delivered five times at once, to two workers."""
    message = _message(world)
    world.stores.jobs.pause("gpu", True)
    job = world.submit(steps=12, lr=rng.randint(1, 1000) / 1000)
    world.stores.jobs.pause("gpu", False)
    with world.broker.client.pipeline() as pipeline:
        for _ in range(5):
            pipeline.lpush("gpu", message)
        pipeline.execute()
    yield from world.judge.one_end(job)
    yield from world.in_one_attempt(job)
    yield equal("steps taken twice", world.judge.repeated(job), 0)


def _message(world: World) -> bytes:
    """As the doorbell sends it, but to a queue where nobody takes it away."""
    with Celery(broker=world.broker.url, set_as_current=False) as app:
        app.send_task(TASK, args=("gpu", "duplicate"), queue="spare")
    raw = world.broker.client.lpop("spare")
    assert isinstance(raw, bytes)
    return raw


DUPLICATES = Fault(
    name="duplicates",
    story="one message delivered five times at once",
    promise="one holder",
    run=duplicates,
    bar=50,
    short=2,
    quick=True,
    stacks=(EMBEDDED, DEPLOYED),
)


def rows(world: World, rng: Random) -> Told:
    """10,000 rows wait: the broker stays small, claims stay quick, and a stale writer is refused."""
    seen = world.submit("noop", steps=1, webhook=False)
    world.judge.wait(seen)
    world.stores.jobs.pause("gpu", True)
    _copy(world, seen, WAITING_ROWS)
    time.sleep(3)  # passes of housekeeping
    world.stores.jobs.pause("gpu", False)
    time.sleep(3)
    yield at_most("messages waiting", int(world.broker.client.llen("gpu")), WAITING_ROWS)
    memory = int(world.broker.client.info("memory")["used_memory"])
    yield Figure("broker_bytes", memory)
    yield at_most("the broker's memory", memory, REDIS_BYTES)
    slowest = 0.0
    for _ in range(5):
        began = time.monotonic()
        claim = world.stores.jobs.claim("gpu", "judge:1:gpu", lease_s=0.05)
        slowest = max(slowest, time.monotonic() - began)
        assert claim is not None
        job = Submitted(claim.job.id, "noop", 1, 0.0, False)
        until(lambda claim=claim, job=job: not _holds(claim, world.judge.row(job)), "the end of the lease")
        yield equal("writes of a stale writer that were taken", _accepted(world, claim), [])
    yield Figure("slowest_claim_s", slowest)
    world.stores.jobs.pause("gpu", True)
    world.judge.sql("DELETE FROM jobs WHERE status = 'queued'")
    world.judge.wait_for_all()
    world.stores.jobs.pause("gpu", False)


def _holds(claim: Claim, row: dict[str, Any]) -> bool:
    return row["status"] == "running" and row["attempt"] == claim.job.attempt


def _accepted(world: World, claim: Claim) -> list[str]:
    """Which kinds of write go through under a claim that is over: none."""
    jobs = world.stores.jobs
    late = {"code": "internal_error", "detail": "late"}
    writes: dict[str, Callable[[], object]] = {
        "renew": lambda: jobs.renew(claim, lease_s=60),
        "requeue": lambda: jobs.requeue(claim, reason="drain", count=Count.DRAINS),
        "succeed": lambda: jobs.succeed(claim, {}, {}),
        "fail": lambda: jobs.fail(claim, late),
        "canceled": lambda: jobs.canceled(claim),
    }
    accepted = []
    for name, write in writes.items():
        with contextlib.suppress(LeaseLost):
            accepted.append(f"{name}: {write()}")
    return accepted


def _copy(world: World, job: Submitted, count: int) -> None:
    """Rows like a submitted one, with their first event, put in by SQL."""
    row = world.judge.row(job)
    prefix = secrets.token_hex(10)
    numbers = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) "
        "SELECT i, :prefix || substr('000000000000' || i, -12) AS id FROM n"
    )
    if world.stack.database == "postgresql":
        numbers = "SELECT i, :prefix || lpad(i::text, 12, '0') AS id FROM generate_series(1, :count) AS n(i)"
    same = ", ".join(
        ("tenant_id", "kind", "queue", "spec", "priority", "created_at", "updated_at", "not_before")
    )
    world.judge.sql(
        f"INSERT INTO jobs (id, status, event_count, {same}) "
        f"SELECT numbers.id, 'queued', 1, {', '.join('jobs.' + name for name in same.split(', '))} "
        f"FROM ({numbers}) AS numbers, jobs WHERE jobs.id = :job",
        count=count, prefix=prefix, job=row["id"],
    )  # fmt: skip
    world.judge.sql(
        "INSERT INTO events (job_id, number, type, data, created_at) "
        "SELECT id, 1, 'queued', '{}', created_at FROM jobs WHERE id LIKE :prefix || '%'",
        prefix=prefix,
    )


ROWS = Fault(
    name="rows",
    story="10,000 rows waiting",
    promise="stale writers refused; the broker stays under 32 MiB",
    run=rows,
    bar=5,
    stacks=(EMBEDDED, DEPLOYED),
)


def cancel(world: World, rng: Random) -> Told:
    """A cancel is sent at the end of a job of a few steps: sooner where the last one came too late."""
    steps = 3
    moment_s, stride_s = world.known.get("moment", (2 * steps * STEP_S, 0.08))
    job = world.submit(steps=steps, lr=rng.randint(1, 1000) / 1000)
    statuses: list[int] = []

    def send() -> None:
        statuses.append(world.api.http.post(f"/v1/jobs/{job.id}/cancel").status_code)

    pause(rng, max(0.0, moment_s - 0.04), moment_s + 0.04)
    threads = [threading.Thread(target=send) for _ in range(rng.choice([1, 2]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield from world.judge.one_end(job, "succeeded", "canceled")
    status = world.judge.row(job)["status"]
    yield Check("the answers fit", set(statuses) <= {200, 202, 409}, str(statuses))
    if status == "canceled":
        yield Check("who was told 409 was told the truth", statuses.count(409) < len(statuses), str(statuses))
    canceled = status == "canceled"
    world.known["moment"] = (
        max(0.0, moment_s + (stride_s if canceled else -stride_s)),
        max(0.02, stride_s / 2),
    )
    yield Figure("canceled", float(canceled))


CANCEL = Fault(
    name="cancel",
    story="cancel racing completion",
    promise="one end state, one webhook id",
    run=cancel,
    bar=500,
    short=10,
    quick=True,
    stacks=(EMBEDDED, DEPLOYED),
)
