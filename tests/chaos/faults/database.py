"""The database: its connection cut in each transaction of the pipeline, and a pause of 20 s."""

import sqlite3
import threading
import time
from random import Random

from chaos.checks import WIRED, Check, Fault, Figure, Told, at_most
from chaos.parts import DEPLOYED, EMBEDDED
from chaos.wire import Cut, Link
from chaos.world import LEASE_S, World, pause

STEPS = 8
LONGEST_S = 30.0  # a lease, a housekeeper's lock, a retry after a few seconds, on a busy machine


class Counter:
    """A rule that cuts at the n-th write of the job's life; 0: it only counts."""

    def __init__(self, nth: int, cut: Cut) -> None:
        self.count, self._nth, self._cut = 0, nth, cut
        self._lock = threading.Lock()

    def __call__(self, link: Link, data: bytes) -> Cut | None:
        with self._lock:
            self.count += 1
            return self._cut if self.count == self._nth else None


def cut(world: World, rng: Random) -> Told:
    """Each write on the wire is a statement, a BEGIN or a COMMIT; it is not sent, or its answer is lost."""
    if "writes" not in world.known:
        world.known["writes"] = _writes_of_a_clean_run(world)
    writes: int = world.known["writes"]
    order = list(range(1, writes + 1))
    Random(0).shuffle(order)
    nth, when = order[world.turn // 2 % writes], [Cut.BEFORE, Cut.AFTER][world.turn % 2]
    counter = world.wires["database", "gpu"].rule = Counter(nth, when)
    world.wires["database", "cpu"].rule = Counter(rng.randint(1, 60), when)  # and one of housekeeping's
    yield Figure("writes", writes)
    yield Figure("write", nth)
    for _ in range(3):  # a job may make a few writes less than another: then the cut falls in the next one
        job = world.submit(steps=STEPS, lr=rng.randint(1, 1000) / 1000)
        yield from world.judge.one_end(job)
        row = world.judge.row(job)
        yield from world.lost_at_most(job, 1)  # a claim whose answer is lost is nobody's for a lease
        yield Check("no failure of its own", row["failures"] == 0)
        yield at_most("from submit to end (s)", row["ended_at"] - row["created_at"], LONGEST_S)
        if counter.count >= nth:
            break
    yield Check("the connection was cut", counter.count >= nth)


def _writes_of_a_clean_run(world: World) -> int:
    """On the second job: the first one has more to load."""
    wire = world.wires["database", "gpu"]
    for _ in range(2):
        counter = wire.rule = Counter(0, Cut.BEFORE)
        world.judge.wait(world.submit(steps=STEPS))
    wire.calm()
    return counter.count


DATABASE_CUT = Fault(
    name="database-cut",
    story="the database connection cut at each write of the pipeline, before it or before its answer",
    promise="no lost or doubled effect",
    run=cut,
    bar=200,
    short=6,
    stacks=(DEPLOYED,),
    options=WIRED,
)


def paused(world: World, rng: Random) -> Told:
    """PostgreSQL: the wire holds everything. SQLite: another process keeps the database locked."""
    pause_s = 20.0 if world.long else 4 * LEASE_S
    jobs = [world.submit(lr=rng.randint(1, 1000) / 1000) for _ in range(3)]
    pause(rng, 0, 3)
    if world.stack.database == "postgresql":
        for wire in world.wires.values():
            wire.hold()
        time.sleep(pause_s)
        for wire in world.wires.values():
            wire.release()
    else:
        with sqlite3.connect(world.data / "editq.db", timeout=30, isolation_level=None) as locker:
            locker.execute("BEGIN EXCLUSIVE")
            time.sleep(pause_s)
            locker.execute("ROLLBACK")
        locker.close()
    for job in jobs:
        yield from world.judge.one_end(job, within_s=150)
        yield Check("no failure of its own", world.judge.row(job)["failures"] == 0)


PAUSED = Fault(
    name="database-paused",
    story="the database paused for 20 s (short: 8 s)",
    promise="no lost or doubled effect",
    run=paused,
    bar=20,
    stacks=(EMBEDDED, DEPLOYED),
    short=2,
    options=WIRED,
)
