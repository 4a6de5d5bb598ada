"""Three hosts in network namespaces: the worker's host is cut off in mid job, and comes back later.

The servers, the API and housekeeping are on the first host, one GPU worker on each of the others. All of it,
with the bridge between them, is inside namespaces of its own: this machine's network is not touched.
"""

import ctypes
import os
import secrets
import subprocess
import time
from random import Random

from chaos.checks import Check, Fault, Figure, Told, at_most, equal
from chaos.judge import Submitted
from chaos.parts import DEPLOYED, Worker, until
from chaos.world import HOUSEKEEPING_S, LEASE_S, World, pause

SERVERS, NEAR, FAR = HOSTS = ("servers", "near", "far")
ADDRESS = "10.213.0.1"
CLONE_NEWNET = 0x40000000


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Network:
    """Three hosts at one switch."""

    def __init__(self, world: World) -> None:
        self._tag = f"chaos-{secrets.token_hex(3)}"
        for name in ("switch", *HOSTS):
            self._add_namespace(world, self.namespace(name))
        switch = self.namespace("switch")
        ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", switch, "link", "set", "bridge", "up")
        for number, host in enumerate(HOSTS, start=1):
            own = self.namespace(host)
            ip("-n", switch, "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", own)
            ip("-n", switch, "link", "set", host, "master", "bridge", "up")
            ip("-n", own, "address", "add", f"10.213.0.{number}/24", "dev", "eth0")
            ip("-n", own, "link", "set", "eth0", "up")

    def namespace(self, host: str) -> str:
        return f"{self._tag}-{host}"

    def within(self, host: str) -> tuple[str, ...]:
        """What a command begins with, to run on a host."""
        return ("ip", "netns", "exec", self.namespace(host))

    def connect(self, host: str, connected: bool) -> None:
        ip("-n", self.namespace("switch"), "link", "set", host, "up" if connected else "down")

    def enter(self, host: str) -> None:
        """This thread, and whatever it starts, is on that host from now on."""
        _enter(f"/run/netns/{self.namespace(host)}")

    def _add_namespace(self, world: World, name: str) -> None:
        ip("netns", "add", name)
        world.leash.hold("namespace", name)
        world.ending.callback(ip, "netns", "delete", name)
        ip("-n", name, "link", "set", "lo", "up")


def _enter(path: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(handle, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(handle)


def on_three_hosts(world: World) -> None:
    """The World begins on the first of them."""
    network = world.known["network"] = Network(world)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    world.ending.callback(os.close, home)
    world.ending.callback(_enter, f"/proc/self/fd/{home}")
    network.enter(SERVERS)


def may_make_hosts() -> str | None:
    return None if os.geteuid() == 0 else "only root may make network namespaces"


def partition(world: World, rng: Random) -> Told:
    network: Network = world.known["network"]
    near, far = (worker_on(world, network, host) for host in (NEAR, FAR))
    jobs = [world.submit(steps=60, lr=rng.randint(1, 1000) / 1000) for _ in range(2)]
    cut_off = until(lambda: _held_by(world, far, jobs), "a job on the far host")
    pause(rng, 0.2, 2.0)
    network.connect(FAR, False)
    cut_at = time.time()
    try:
        yield from world.judge.one_end(cut_off)
        yield from _ended_elsewhere(world, cut_off, near, cut_at)
        pause(rng, 5, 60 if world.long else 15)
    finally:
        network.connect(FAR, True)
    row, events = world.judge.row(cut_off), world.judge.events(cut_off)
    yield from _works_again(world, far)
    yield equal("the row is as it was", world.judge.row(cut_off), row)
    yield equal("so are its events", world.judge.events(cut_off), events)
    yield equal(
        "outputs of the cut-off attempt", world.judge.store.keys(f"local/jobs/{cut_off.id}/1/outputs/"), []
    )
    for job in jobs:
        yield from world.judge.one_end(job)


def _ended_elsewhere(world: World, job: Submitted, near: Worker, cut_at: float) -> Told:
    row = world.judge.row(job)
    starts = [e for e in world.judge.events(job) if e["type"] == "running" and e["data"]["attempt"] == 2]
    yield Check("in another attempt", row["attempt"] >= 2)
    yield from world.lost_at_most(job, 1)
    for start in starts:
        yield Check("on the near host", f":{near.pid}:" in start["data"]["worker"], str(start["data"]))
        yield Figure("elsewhere_s", start["created_at"] - cut_at)
    queued = [e["created_at"] for e in world.judge.events(job) if e["type"] == "queued"]
    yield at_most("given up in time (s)", queued[1] - cut_at, LEASE_S + HOUSEKEEPING_S + world.slack_s)


def _works_again(world: World, far: Worker) -> Told:
    """The worker that was cut off takes work again, by itself."""
    back_at = time.monotonic()

    def took_one() -> bool:
        jobs = [world.submit(steps=10, webhook=False) for _ in range(2)]
        world.judge.wait_for_all()
        return any(f":{far.pid}:" in e["data"]["worker"] for job in jobs for e in _starts(world, job))

    until(took_one, "work on the host that was cut off", within_s=120)
    yield Figure("back_after_s", time.monotonic() - back_at)


def _starts(world: World, job: Submitted) -> list[dict[str, dict[str, str]]]:
    return [event for event in world.judge.events(job) if event["type"] == "running"]


def _held_by(world: World, worker: Worker, jobs: list[Submitted]) -> Submitted | None:
    return next((job for job in jobs if world.holder(job) is worker), None)


def worker_on(world: World, network: Network, host: str) -> Worker:
    """The live worker of a host."""
    worker: Worker | None = world.known.get(host)
    if worker is None or not worker.alive:
        worker = world.known[host] = world.start("gpu", within=network.within(host))
        until(lambda: worker.ready, f"the worker on {host}")
    return worker


PARTITION = Fault(
    name="partition",
    story="three hosts in network namespaces, the worker's host cut off in mid job and back later",
    promise="the job ends elsewhere; the returning worker writes nothing, and works again",
    run=partition,
    bar=20,
    stacks=(DEPLOYED,),
    options={
        "prepare": on_three_hosts,
        "gpu": 0,
        "through": {"broker", "database", "objects"},
        "host": ADDRESS,
    },
    needs=may_make_hosts,
)
