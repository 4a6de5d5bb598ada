"""The broker: cut between pop and bookkeeping, killed while jobs are submitted, emptied, frozen."""

import time
from concurrent.futures import ThreadPoolExecutor
from random import Random

from chaos.checks import WIRED, Check, Fault, Figure, Told, at_most, equal
from chaos.parts import DEPLOYED, EMBEDDED, until
from chaos.wire import Cut, Link
from chaos.world import World, pause


def cut(world: World, rng: Random) -> Told:
    """The connection of a worker ends when it has popped a message and is about to write `unacked`."""
    nth, seen = rng.randint(1, 3), 0

    def is_bookkeeping(_: Link, data: bytes) -> bool:
        nonlocal seen
        seen += b"HSET" in data and b"unacked" in data
        return seen == nth

    struck = world.wires["broker", "gpu"].once(rng.choice([Cut.BEFORE, Cut.AFTER]), is_bookkeeping)
    jobs = [world.submit(steps=4, lr=rng.randint(1, 1000) / 1000) for _ in range(4)]
    for job in jobs:
        yield from world.judge.one_end(job)
        yield equal("failures", world.judge.row(job)["failures"], 0)
    yield Check("the connection was cut", struck.is_set())


CUT = Fault(
    name="broker-cut",
    story="the broker connection cut between pop and unacked write",
    promise="every job recovered",
    run=cut,
    bar=50,
    short=3,
    stacks=(DEPLOYED,),
    options=WIRED,
)


def killed(world: World, rng: Random) -> Told:
    """kill -9 of the broker, again and again, while many submit at once."""
    count = 1000 if world.long else 150
    accepted: list[str] = []

    def submit(_: int) -> None:
        body, _asked = world.request("noop", steps=1, webhook=False)
        answer = world.api.http.post("/v1/jobs", json=body)
        if answer.status_code == 202:
            accepted.append(answer.json()["id"])

    with ThreadPoolExecutor(8) as pool:
        going = pool.map(submit, range(count))
        kills = 0
        while len(accepted) < count * 0.8 and kills < 5:
            pause(rng, 0.2, 2.0)
            world.broker.kill()
            kills += 1
            pause(rng, 0.1, 1.5)
            world.leash.hold("process", world.broker.start())
        list(going)
    yield Figure("accepted", len(accepted))
    yield Figure("kills", kills)
    yield equal("every submit was answered 202", len(accepted), count)
    world.judge.wait_for_all(within_s=600)
    yield from world.judge.all_ended_once(accepted)


KILLED = Fault(
    name="broker-killed",
    story="kill -9 of the broker while 1,000 jobs are submitted (short: 150)",
    promise="every job answered 202 finishes, once",
    run=killed,
    bar=3,
    stacks=(EMBEDDED, DEPLOYED),
)


def emptied(world: World, rng: Random) -> Told:
    """Everything in the broker is gone while one job runs, and others wait."""
    jobs = [world.submit(steps=8, lr=rng.randint(1, 1000) / 1000) for _ in range(12)]
    pause(rng, 0, 2.0)
    world.broker.client.flushall()
    most = 0
    while world.judge.open_jobs():
        waiting = int(world.broker.client.llen("gpu"))
        most = max(most, waiting)
        if most > len(jobs):
            break
        time.sleep(0.1)
    yield at_most("messages waiting, never more than jobs", most, len(jobs))
    for job in jobs:
        yield from world.judge.one_end(job)
        yield from world.in_one_attempt(job)


EMPTIED = Fault(
    name="broker-emptied",
    story="the broker emptied (FLUSHALL) while jobs run and wait",
    promise="the queue is rebuilt from the rows, with at most as many rings as there is work",
    run=emptied,
    bar=20,
    short=2,
    quick=True,
    stacks=(EMBEDDED, DEPLOYED),
)


def frozen(world: World, rng: Random) -> Told:
    """SIGSTOP of the broker: submits go on, the running job ends; then work is taken again."""
    freeze_s = 60.0 if world.long else 10.0
    running = world.submit(steps=40)
    world.judge.wait(running, "running")
    world.broker.freeze()
    frozen_at, slowest, jobs = time.monotonic(), 0.0, []
    try:
        while time.monotonic() < frozen_at + freeze_s:
            began = time.monotonic()
            jobs.append(world.submit("noop", steps=1, webhook=False))
            slowest = max(slowest, time.monotonic() - began)
            pause(rng, 0.2, 1.0)
    finally:
        world.broker.thaw()
    thawed_at = time.time()
    yield Figure("slowest_submit_s", slowest)
    yield at_most("a submit while frozen, answered 202 (s)", slowest, 1.0)
    first = until(lambda: _first_start(world, thawed_at), "work taken after the thaw", within_s=90)
    yield Figure("consuming_after_s", first - thawed_at)
    yield at_most("consuming again (s)", first - thawed_at, 60.0)
    world.judge.wait_for_all()
    yield from world.judge.one_end(running)
    yield from world.in_one_attempt(running)
    yield from world.judge.all_ended_once(job.id for job in jobs)


def _first_start(world: World, since: float) -> float | None:
    sql = "SELECT min(created_at) AS t FROM events WHERE type = 'running' AND created_at >= :since"
    found = world.judge.sql(sql, since=since)[0]["t"]
    return None if found is None else float(found)


FROZEN = Fault(
    name="broker-frozen",
    story="the broker frozen for 60 s (short: 10 s)",
    promise="a submit is still answered 202 within 1 s; consuming again within 60 s of the thaw",
    run=frozen,
    bar=10,
    stacks=(EMBEDDED, DEPLOYED),
)
