"""kill -9 of the pool child, its parent, or both, at a time uniform over the job's life."""

import math
import time
from random import Random

from chaos.checks import Check, Fault, Figure, Told, at_most
from chaos.judge import Submitted
from chaos.parts import DEPLOYED, EMBEDDED
from chaos.recipes import STEP_S
from chaos.world import CHECKPOINT_S, HOUSEKEEPING_S, LEASE_S, STEPS, World, pause

LIFE_S = 1.3 * STEPS * STEP_S + 0.3  # from the submit to the end, about
STEPS_BETWEEN_CHECKPOINTS = math.ceil(CHECKPOINT_S / STEP_S)


def kill(world: World, rng: Random) -> Told:
    job = world.submit(lr=rng.randint(1, 1000) / 1000)
    target = rng.choice(["child", "parent", "both"])
    pause(rng, 0, LIFE_S)
    worker = world.holder(job) or rng.choice(world.of("gpu"))
    killed_at = time.time()
    worker.strike(target)
    world.mend(ready=False)
    yield from world.judge.one_end(job)
    yield from resumed(world, job, killed_at, target)


def resumed(world: World, job: Submitted, killed_at: float, target: str) -> Told:
    """How soon the next attempt began, and how much work was done twice."""
    row = world.judge.row(job)
    yield from world.lost_at_most(job, 1)
    most = STEPS_BETWEEN_CHECKPOINTS * (row["attempt"] - 1)
    yield at_most("steps repeated", world.judge.repeated(job), most)
    yield Figure("repeated_steps", world.judge.repeated(job))
    causes = [loss["cause"] for loss in row["losses"]]
    if world.long and target == "child":  # a busy machine may be slower than the lease
        yield Check("its parent let go of the job", "lease expired" not in causes, str(causes))
    again = [
        event["created_at"]
        for event in world.judge.events(job)
        if event["type"] == "running" and event["data"]["attempt"] > 1
    ]
    if again:
        yield Figure(f"resumed_s_{target}", again[0] - killed_at)
        yield at_most("resumed in time", again[0] - killed_at, LEASE_S + HOUSEKEEPING_S + world.slack_s)


KILL = Fault(
    name="kill",
    story="kill -9 of pool child, parent, or both, at times uniform over the job's life",
    promise="no job lost, one visible result each, resumed within a lease and a housekeeping pass, at most "
    "one checkpoint interval repeated",
    run=kill,
    bar=200,
    short=6,
    quick=True,
    stacks=(EMBEDDED, DEPLOYED),
)
