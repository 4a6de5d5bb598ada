"""Runs a fault again and again in a World, with one seed each, and writes down what it came to."""

import contextlib
import time
from collections.abc import Iterator
from random import Random

from chaos import ledger
from chaos.checks import Check, Fault, Figure
from chaos.ledger import Record
from chaos.parts import Stack
from chaos.world import World


def run(fault: Fault, seeds: range, *, long: bool) -> Iterator[Record]:
    """The runs that are missing, stack by stack: seed i is of stack i modulo their number."""
    done = ledger.begin(fault.name, long=long)
    for index, stack in enumerate(fault.stacks):
        missing = [seed for seed in seeds if seed not in done and seed % len(fault.stacks) == index]
        for record in _in_worlds(fault, stack, missing, long=long):
            ledger.add(record, long=long)
            yield record


def _in_worlds(fault: Fault, stack: Stack, seeds: list[int], *, long: bool) -> Iterator[Record]:
    """One World for all runs; a new one after a run that was violated."""
    left = list(seeds)
    while left:
        with World(stack, long=long, **(fault.options or {})) as world:
            while left:
                record = run_once(fault, world, left.pop(0))
                yield record
                if record.violations:
                    _keep_logs(record, world)
                    break


def run_once(fault: Fault, world: World, seed: int) -> Record:
    """One run. What never happens is a violation; other exceptions are mistakes of the harness, and pass."""
    began, revision = time.monotonic(), ledger.revision()
    violations: list[str] = []
    figures: dict[str, float] = {}
    world.turn = seed // len(fault.stacks)
    try:
        for told in fault.run(world, Random(f"{fault.name} {seed}")):
            match told:
                case Figure(name, value):
                    figures[name] = round(value, 3)
                case Check(name, False, detail):
                    violations.append(f"{name}: {detail}")
        world.calm()
    except TimeoutError as error:
        violations.append(str(error))
    seconds = round(time.monotonic() - began, 1)
    return Record(fault.name, seed, str(world.stack), violations, figures, seconds, revision)


def _keep_logs(record: Record, world: World) -> None:
    folder = ledger.OUT / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        (folder / f"{record.fault}-{record.seed}.log").write_text(world.logs())
