"""Many rows wait, and writers come that are late."""

import contextlib
import secrets
import time
from collections.abc import Callable
from random import Random
from typing import Any

from chaos.checks import Fault, Figure, Told, at_most, equal
from chaos.judge import Submitted
from chaos.parts import DEPLOYED, EMBEDDED, until
from chaos.world import World
from storage.errors import LeaseLost
from storage.records import Claim, Count

WAITING_ROWS = 10_000
REDIS_BYTES = 32 << 20


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
