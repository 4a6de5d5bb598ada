"""A job that kills its workers, each time, among others that do no harm."""

from random import Random

from chaos.checks import Check, Fault, Told, equal
from chaos.parts import DEPLOYED, EMBEDDED
from chaos.world import World


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
