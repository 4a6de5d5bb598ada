"""TERM during the final commit, and a final commit whose answer is lost."""

from random import Random

from chaos.checks import WIRED, Check, Fault, Told
from chaos.parts import DEPLOYED, EMBEDDED, Worker, until
from chaos.wire import Cut, Link
from chaos.world import World

STEPS = 6


def term(world: World, rng: Random) -> Told:
    """The signal comes before the write of the row, or while it is under way."""
    target = rng.choice(["parent", "child", "group"])
    moment = rng.choice([{"hold_s": rng.uniform(0, 0.8)}, {"late_s": rng.uniform(0, 0.02)}])
    plan = world.plan(at="jobs.succeed", number=15, to=target, **moment)
    job = world.submit(steps=STEPS, lr=rng.randint(1, 1000) / 1000)
    yield from world.judge.one_end(job)
    yield Check("the signal fell", world.struck_at(plan) is not None, target)
    if target != "child":
        until(lambda: not any(told_to_end(w) for w in world.of("gpu")), "the end of the worker that was told")
    yield from world.lost_at_most(job, 0)


def told_to_end(worker: Worker) -> bool:
    return b"Warm shutdown" in worker.log.read_bytes()


TERM = Fault(
    name="term",
    story="TERM during the final commit",
    promise="one end state each, and no loss counted",
    run=term,
    bar=100,
    short=6,
    stacks=(EMBEDDED, DEPLOYED),
)


def answer(world: World, rng: Random) -> Told:
    """PostgreSQL commits, and the connection dies before the worker hears of it; or just before."""
    cut = rng.choice([Cut.AFTER, Cut.AFTER, Cut.BEFORE])

    def is_final_commit(link: Link, data: bytes) -> bool:
        if b"succeeded" in data and b"UPDATE jobs" in data:
            link.marked = True
        return link.marked and b"COMMIT" in data

    struck = world.wires["database", "gpu"].once(cut, is_final_commit)
    job = world.submit(steps=STEPS, lr=rng.randint(1, 1000) / 1000)
    yield from world.judge.one_end(job)
    yield Check("the commit was cut", struck.is_set())
    yield from world.in_one_attempt(job)


ANSWER = Fault(
    name="answer",
    story="a final commit whose answer is lost, or that is cut off",
    promise="one end state each, by the same attempt",
    run=answer,
    bar=100,
    short=4,
    stacks=(DEPLOYED,),
    options=WIRED,
)
