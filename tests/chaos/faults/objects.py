"""The object store: errors, slowness, resets in mid multipart, an outage; by a proxy before an S3 server."""

import time
from random import Random

from chaos.bucket import BucketProxy
from chaos.checks import Check, Fault, Figure, Told, equal
from chaos.judge import Submitted
from chaos.parts import Stack
from chaos.world import World, pause

BUCKET = Stack("sqlite", "s3", "valkey")
OPTIONS = {"through": {"objects"}}
BULK_MB = 40  # three parts


def proxy(world: World, rng: Random) -> BucketProxy:
    assert world.bucket
    world.bucket.trouble.rng = rng
    return world.bucket


def judged(world: World, jobs: list[Submitted], *, within_s: float = 180.0) -> Told:
    """All succeeded, nothing was counted as their own failure, and nothing half-made is left."""
    for job in jobs:
        yield from world.judge.one_end(job, within_s=within_s)
        yield equal("failures", world.judge.row(job)["failures"], 0)
        yield from world.lost_at_most(job, 0)
    yield equal("unfinished uploads in the store", world.judge.store.unfinished(), [])


def errors(world: World, rng: Random) -> Told:
    """A third of all requests, or nearly all, is answered 500 or 503, for a while."""
    bucket = proxy(world, rng)
    bucket.trouble.errors = rng.choice([0.35, 0.9])
    jobs = [world.submit(lr=rng.randint(1, 1000) / 1000) for _ in range(3)]
    pause(rng, 4, 7)
    yield Check("requests met errors", bucket.trouble.met > 0)
    yield Figure("errors", bucket.trouble.met)
    bucket.calm()
    yield from judged(world, jobs)


def slow(world: World, rng: Random) -> Told:
    """Every answer takes up to one and a half leases."""
    proxy(world, rng).trouble.slow_s = 3.0
    jobs = [world.submit(steps=6, lr=rng.randint(1, 1000) / 1000) for _ in range(2)]
    yield from judged(world, jobs)
    for job in jobs:
        yield from world.in_one_attempt(job)


def reset(world: World, rng: Random) -> Told:
    """The connection is reset in the middle of a part of a large output; once, or until the attempt fails."""
    bucket = proxy(world, rng)
    bucket.trouble.reset_part, bucket.trouble.resets = rng.randint(1, 3), rng.choice([1, 5])
    job = world.submit("bulky", steps=BULK_MB)
    yield from judged(world, [job])
    yield Check("a part was reset", bucket.trouble.met > 0)


def outage(world: World, rng: Random) -> Told:
    """No connection gets through, for 5 minutes (short: 20 s), beginning at any point of the jobs' lives."""
    outage_s = 300.0 if world.long else 20.0
    bucket = proxy(world, rng)
    jobs = [world.submit(lr=rng.randint(1, 1000) / 1000) for _ in range(3)]
    pause(rng, 0, 3)
    bucket.outage()
    time.sleep(outage_s)
    bucket.outage(False)
    yield from judged(world, jobs, within_s=outage_s + 180)


def _fault(name: str, story: str, run: object, bar: int, short: int = 1) -> Fault:
    promise = "no job fails for good, none is lost, no orphaned parts"
    return Fault(name, story, promise, run, bar, short, stacks=(BUCKET,), options=OPTIONS)  # type: ignore[arg-type]


ERRORS = _fault(
    "objects-errors", "object store: a third or nearly all of the requests answered 500 or 503", errors, 20
)
SLOW = _fault("objects-slow", "object store: answers take up to 3 s", slow, 10)
RESET = _fault("objects-reset", "object store: connections reset in mid multipart", reset, 20, 2)
OUTAGE = _fault("objects-outage", "object store: an outage of 5 minutes (short: 20 s)", outage, 3)
