"""kill -9 once at every point between two outside calls of a job.

The calls of one clean run are counted first; then each run dies before another one of them, in an order that
is shuffled once: so a few runs are spread over the whole life, and as many runs as calls cover it.
"""

from random import Random

from chaos.checks import Check, Fault, Figure, Told
from chaos.faults.kill import resumed
from chaos.parts import DEPLOYED, EMBEDDED
from chaos.world import World

STEPS = 10


def points(world: World, rng: Random) -> Told:
    if "calls" not in world.known:
        world.known["calls"] = clean_run(world)
    calls: list[str] = world.known["calls"]
    order = list(range(1, len(calls) + 1))
    Random(0).shuffle(order)
    point = order[world.turn % len(order)]
    target = rng.choice(["child", "parent", "both"])
    plan = world.plan(at=point, to=target)
    yield Figure("points", len(calls))
    yield Figure("point", point)
    for _ in range(3):  # a job may make a few calls less than another: then the kill falls in the next one
        job = world.submit(steps=STEPS, lr=rng.randint(1, 1000) / 1000)
        yield from world.judge.one_end(job)
        struck = world.struck_at(plan)
        if struck is not None:
            break
    yield Check("the kill fell", struck is not None, f"point {point} ({calls[point - 1]})")
    if struck is not None:
        yield from resumed(world, job, struck, target)


def clean_run(world: World) -> list[str]:
    """The names of the calls that a job makes when nothing happens to it."""
    plan = world.plan(at=0)
    world.judge.wait(world.submit(steps=STEPS))
    world.calm()
    return world.calls(plan)


POINTS = Fault(
    name="points",
    story="kill -9 once at every point between two outside calls",
    promise="as for kill",
    run=points,
    bar=200,
    short=6,
    quick=True,
    stacks=(EMBEDDED, DEPLOYED),
)
