"""Steady work of all kinds for an hour: no process grows, and nothing is left behind in the broker."""

import time
from collections import defaultdict
from random import Random

import numpy as np

from chaos.checks import Fault, Figure, Told, at_most
from chaos.judge import Submitted
from chaos.parts import DEPLOYED, resident_bytes
from chaos.world import World, pause

LONG_S, SHORT_S = 3600.0, 60.0
SAMPLE_EVERY_S = 5.0
WARM_UP = 1 / 3  # caches fill: the slope is taken after this part
MB = 1 << 20
BAR_MB_PER_MIN = 1.0
FLOOD_MB_PER_MIN = (
    60.0  # in their first minute children still warm up, by some 20 MB: this only finds a flood
)
BAR_KEYS_PER_MIN = 2.0  # of some hundred, which come and go: a job's progress is kept for ten minutes
LASTING_KEYS = 10
Samples = list[tuple[float, int]]


def soak(world: World, rng: Random) -> Told:
    soak_s = LONG_S if world.long else SHORT_S
    jobs: list[Submitted] = []
    sizes: dict[str, Samples] = defaultdict(list)
    began = sampled = time.monotonic()
    while (now := time.monotonic()) < began + soak_s:
        jobs.append(_some_job(world, rng))
        if rng.random() < 0.1:
            world.api.http.post(f"/v1/jobs/{rng.choice(jobs[-5:]).id}/cancel")
        if now >= sampled + SAMPLE_EVERY_S:
            sampled = now
            sizes["keys"].append((now - began, int(world.broker.client.dbsize())))
            for name, pid in processes(world).items():
                sizes[name].append((now - began, resident_bytes(pid)))
        pause(rng, 0.2, 0.8)
    world.judge.wait_for_all(within_s=300)
    yield Figure("jobs", len(jobs))
    for job in rng.sample(jobs, min(50, len(jobs))):
        yield from world.judge.one_end(job, "succeeded", "canceled")
    keys = sizes.pop("keys")
    yield Figure("keys", keys[-1][1])
    yield Figure("keys_per_min", slope_per_min(keys, soak_s))
    yield at_most("keys that never expire", lasting_keys(world), LASTING_KEYS)
    if world.long:
        yield at_most("growth of keys a minute", slope_per_min(keys, soak_s), BAR_KEYS_PER_MIN)
    for name, samples in sizes.items():
        slope = slope_per_min(samples, soak_s) / MB
        yield Figure(f"mb_per_min_{name}", slope)
        yield at_most(f"slope of {name} (MB/min)", slope, BAR_MB_PER_MIN if world.long else FLOOD_MB_PER_MIN)


def _some_job(world: World, rng: Random) -> Submitted:
    model = rng.choice(["descent", "noop", "noop", "bulky"])
    lr = rng.randint(1, 1000) / 1000
    return (
        world.submit(model, steps=rng.randint(1, 8), lr=lr)
        if model != "noop"
        else world.submit(model, steps=1)
    )


def processes(world: World) -> dict[str, int]:
    """Everything of ours whose memory counts, by name."""
    found = {f"api_{place}": pid for place, pid in enumerate(world.api.processes)}
    for place, worker in enumerate(world.of("gpu") + world.of("cpu")):
        found[f"{worker.queue}_{place}"] = worker.pid
        found |= {f"{worker.queue}_{place}_child": pid for pid in worker.children}
    return found


def slope_per_min(samples: Samples, soak_s: float) -> float:
    """Of a line through what came after the warm-up."""
    late = [(at, size) for at, size in samples if at > soak_s * WARM_UP]
    if len(late) < 3:
        return 0.0
    times, sizes = np.array(late, float).T
    return float(np.polyfit(times / 60, sizes, 1)[0])


def lasting_keys(world: World) -> int:
    """Keys of the broker that never expire."""
    client = world.broker.client
    return sum(1 for key in client.scan_iter(count=1000) if client.ttl(key) == -1)


SOAK = Fault(
    name="soak",
    story="one hour of steady work (short: 60 s)",
    promise="no process grows by more than 1 MB a minute, nor do the broker's keys",
    run=soak,
    bar=1,
    stacks=(DEPLOYED,),
)
