"""Batches whose workers are killed or cut off: every item has one result, and little is done twice."""

import json
import secrets
import time
from collections import Counter
from random import Random
from typing import Any

from chaos.checks import Check, Fault, Figure, Told, at_most, equal
from chaos.faults.partition import ADDRESS, FAR, NEAR, Network, may_make_hosts, on_three_hosts, worker_on
from chaos.parts import DEPLOYED, EMBEDDED, until
from chaos.world import World, pause

ITEMS, CHUNK_ITEMS = 96, 8
WITHIN_S = 240.0


def batch(world: World, rng: Random) -> Told:
    """kill -9 of workers, at times that the seed chooses, while a batch is done."""
    batch_id = submit(world)
    kills = rng.randint(1, 3)
    until(lambda: done(world, batch_id), "the first chunk", within_s=WITHIN_S)
    for _ in range(kills):
        pause(rng, 0.1, 1.0)
        rng.choice(world.of("gpu")).strike(rng.choice(["child", "both"]))
        world.mend(ready=False)
    yield from one_result_each(world, batch_id, kills)


def hosts(world: World, rng: Random) -> Told:
    """A batch on workers of two hosts, one of which is cut off in mid chunk, and comes back."""
    network: Network = world.known["network"]
    near, far = (worker_on(world, network, host) for host in (NEAR, FAR))
    batch_id = submit(world)
    until(lambda: {near.pid, far.pid} <= at_work(world, batch_id), "both hosts at work", within_s=WITHIN_S)
    pause(rng, 0.1, 1.0)
    network.connect(FAR, False)
    try:
        pause(rng, 4, 8)
    finally:
        network.connect(FAR, True)
    yield from one_result_each(world, batch_id, 1)
    yield Figure("chunks_of_the_far_host", sum(f":{far.pid}:" in name for name in holders(world, batch_id)))


def submit(world: World) -> str:
    """A batch of pictures, each under an id of its own."""
    tag = secrets.token_hex(4)
    lines = [json.dumps({"id": f"{tag}-{n}", "image": world.picture}) for n in range(ITEMS)]
    http = world.api.http
    sent = http.post("/v1/files", content="\n".join(lines).encode())
    assert sent.status_code == 201, sent.text
    inputs = {"type": "manifest", "file": sent.json()["id"]}
    answer = http.post("/v1/batches", json={"spec": {"kind": "invert", "model": "noop"}, "inputs": inputs})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def done(world: World, batch_id: str) -> int:
    """Chunks that have ended."""
    query = "SELECT count(*) AS n FROM chunks WHERE batch_id = :id AND ended_at IS NOT NULL"
    return int(world.judge.sql(query, id=batch_id)[0]["n"])


def holders(world: World, batch_id: str) -> list[str]:
    """Workers of all attempts of its chunks."""
    query = """SELECT data FROM events JOIN jobs ON jobs.id = events.job_id
        WHERE jobs.batch_id = :id AND jobs.kind = 'chunk' AND events.type = 'running'"""
    return [row["data"]["worker"] for row in world.judge.sql(query, id=batch_id)]


def at_work(world: World, batch_id: str) -> set[int]:
    return {int(name.split(":")[1]) for name in holders(world, batch_id)}


def one_result_each(world: World, batch_id: str, kills: int) -> Told:
    row = until(lambda: ended(world, batch_id), "the end of the batch", within_s=WITHIN_S)
    yield equal("status", (row["status"], row["error"]), ("succeeded", None))
    chunks = world.judge.sql("SELECT * FROM chunks WHERE batch_id = :id ORDER BY number", id=batch_id)
    yield equal("items", sum(chunk["succeeded"] for chunk in chunks), ITEMS)
    yield equal("chunks", len(chunks), ITEMS // CHUNK_ITEMS)
    lines = results(world, row)
    yield equal("one line for each item", sorted(Counter(line["n"] for line in lines).items()), counted())
    yield equal("errors of items", [line["error"] for line in lines if "error" in line], [])
    kept = world.judge.store.keys("local/results/")
    wanted = {line.get("result") for line in lines}
    yield equal("results that are there", len(wanted & {key.rpartition("/")[2] for key in kept}), ITEMS)
    jobs = world.judge.sql("SELECT attempt FROM jobs WHERE batch_id = :id AND kind = 'chunk'", id=batch_id)
    repeated = sum(job["attempt"] > 1 for job in jobs)
    worked = executed(world, {line["id"] for line in lines})
    yield Check("no job of it is open", not world.judge.sql(OPEN, id=batch_id))
    if world.long:  # on a busy machine leases of 2 s run out although nothing is wrong
        yield at_most("chunks repeated", repeated, kills)
        yield at_most("items done twice", worked - ITEMS, kills * CHUNK_ITEMS)
    yield Figure("chunks_repeated", repeated)
    yield Figure("items_done_twice", worked - ITEMS)


OPEN = "SELECT id FROM jobs WHERE batch_id = :id AND ended_at IS NULL"


def ended(world: World, batch_id: str) -> dict[str, Any] | None:
    (row,) = world.judge.sql("SELECT * FROM batches WHERE id = :id", id=batch_id)
    time.sleep(0.1)
    return row if row["ended_at"] is not None else None


def results(world: World, row: dict[str, Any]) -> list[dict[str, Any]]:
    files = json.loads(row["files"]) if isinstance(row["files"], str) else row["files"]
    data = world.judge.store.read(files["results"]["key"])
    return [json.loads(line) for line in data.splitlines()]


def counted() -> list[tuple[int, int]]:
    return [(n, 1) for n in range(1, ITEMS + 1)]


def executed(world: World, ids: set[str]) -> int:
    """How many times items of these ids were really done."""
    lines = (world.folder / "items").read_text().splitlines()
    return sum(line.split()[0] in ids for line in lines)


BULK = {"settings": {"chunk_items": CHUNK_ITEMS}}
BATCH = Fault(
    name="batch",
    story="kill -9 of workers, one to three times, while they do a batch of 96 items in chunks of 8",
    promise="every item has exactly one result, and at most one chunk is repeated for each kill",
    run=batch,
    bar=20,
    stacks=(EMBEDDED, DEPLOYED),
    options=BULK,
)
BATCH_ON_HOSTS = Fault(
    name="batch-hosts",
    story="a batch on workers of two hosts in network namespaces, one cut off in mid chunk and back later",
    promise="every item has exactly one result; both hosts do chunks",
    run=hosts,
    bar=10,
    stacks=(DEPLOYED,),
    options=BULK
    | {
        "prepare": on_three_hosts,
        "gpu": 0,
        "through": {"broker", "database", "objects"},
        "host": ADDRESS,
    },
    needs=may_make_hosts,
)
