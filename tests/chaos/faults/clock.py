"""One worker's clock is off by an hour (libfaketime): its lease is the database's, and its own monotonic."""

import re
import time
from datetime import datetime
from pathlib import Path
from random import Random

from chaos.checks import Check, Fault, Told
from chaos.parts import Stack, Worker, until
from chaos.world import World

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def has_faketime() -> str | None:
    return None if LIBRARIES else "libfaketime is not installed"


def clock(world: World, rng: Random) -> Told:
    """A worker of either queue is replaced by one whose clock is off; jobs longer than a lease follow."""
    queue, offset = rng.choice(["gpu", "cpu"]), rng.choice(["+1h", "-1h"])
    old = world.of(queue)[0]
    old.strike("both")
    old.process.wait()
    fake = {"LD_PRELOAD": str(LIBRARIES[0]), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    wrong = world.start(queue, **fake)
    until(lambda: wrong.ready, "the worker with the wrong clock")
    yield Check("its clock is off", abs(clock_of(wrong) - time.time()) > 3000)
    jobs = [world.submit(steps=60, lr=rng.randint(1, 1000) / 1000) for _ in range(4)]
    for job in jobs:
        yield from world.judge.one_end(job)
        yield from world.in_one_attempt(job)
    wrong.strike("both")
    wrong.process.wait()
    world.mend()


def clock_of(worker: Worker) -> float:
    """What time it was, as its log has it, when it was ready a moment ago."""
    stamps = re.findall(r'"time": "([0-9T:.+-]+)"', worker.log.read_text(errors="replace"))
    return datetime.fromisoformat(stamps[-1]).timestamp()


CLOCK = Fault(
    name="clock",
    story="one worker's clock off by an hour, ahead or behind",
    promise="no early redelivery, no lost lease",
    run=clock,
    bar=20,
    stacks=(Stack("postgresql", "files", "redis"),),
    needs=has_faketime,
)
