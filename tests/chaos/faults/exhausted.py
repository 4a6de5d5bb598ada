"""A full disk, and memory that is not there: a named error, and a worker that goes on."""

import contextlib
import os
import resource
import subprocess
from pathlib import Path
from random import Random

from chaos.checks import Check, Fault, Told, equal
from chaos.world import World

DISK_MB = 12
BALLAST = "ballast"


def small_disk(world: World) -> None:
    """The objects' folder is a disk of its own."""
    folder = world.data / "objects"
    folder.mkdir()
    size = f"size={DISK_MB}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "chaos", str(folder)], check=True)
    world.leash.hold("mount", str(folder))
    world.ending.callback(lambda: subprocess.run(["umount", "--lazy", str(folder)], check=True))


def may_mount() -> str | None:
    return None if os.geteuid() == 0 else "only root may mount a small disk"


SMALL = {"prepare": small_disk, "gpu": 1, "settings": {"max_outages": 2}}


def disk(world: World, rng: Random) -> Told:
    """The disk is full when the output is written; later there is room again."""
    pids = _pids(world)
    ballast = world.data / "objects" / BALLAST
    _fill(ballast)
    outputs = world.submit("bulky", steps=rng.randint(2, 8))
    yield from world.judge.one_end(outputs, "failed")
    error = world.judge.row(outputs)["error"]
    yield equal("error", error and error["code"], "storage_full")
    yield equal("unfinished files", world.judge.store.unfinished(), [])
    ballast.unlink()
    yield from _goes_on(world, pids)


def _fill(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


DISK = Fault(
    name="disk-full",
    story="the objects' disk full (a small tmpfs)",
    promise="storage_full, worker alive, and the next job succeeds",
    run=disk,
    bar=10,
    options=SMALL,
    needs=may_mount,
)


def memory(world: World, rng: Random) -> Told:
    """The pool children may not have more than they have, and some; a job asks for 64 GiB."""
    pids = _pids(world)
    for child in _children(world):
        limit = _virtual_bytes(child) + (2 << 30)
        resource.prlimit(
            child, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY)
        )  # a next run may raise it
    hungry = world.submit("hungry", steps=3)
    yield from world.judge.one_end(hungry, "failed")
    row = world.judge.row(hungry)
    yield equal("error", row["error"] and row["error"]["code"], "out_of_memory")
    yield equal("ran out of memory", row["out_of_memory"], 2)
    yield equal("lost", row["lost"], 0)
    yield from _goes_on(world, pids)


MEMORY = Fault(
    name="memory",
    story="memory refused (RLIMIT_AS)",
    promise="out_of_memory after one more try, worker alive, and the next job succeeds",
    run=memory,
    bar=10,
    options=SMALL,
    needs=may_mount,
)


def _goes_on(world: World, pids: list[int]) -> Told:
    yield equal("the same processes", _pids(world), pids)
    yield from world.judge.one_end(world.submit(steps=4))
    yield Check("still the same processes", _pids(world) == pids)


def _pids(world: World) -> list[int]:
    return sorted([worker.pid for worker in world.of("gpu")] + _children(world))


def _children(world: World) -> list[int]:
    return [child for worker in world.of("gpu") for child in worker.children]


def _virtual_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
