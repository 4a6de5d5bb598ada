"""Runs faults again and again, one seed each, and writes down what they came to.

Runs that need the same World follow one another in it. After a violation the next run gets a new one.
"""

import contextlib
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from chaos import ledger
from chaos.checks import Check, Fault, Figure
from chaos.ledger import Record
from chaos.parts import Stack
from chaos.world import World


@dataclass(frozen=True)
class Turn:
    """Runs of one fault over one stack."""

    fault: Fault
    stack: Stack
    seeds: tuple[int, ...]

    @property
    def world(self) -> str:
        """The same for turns that can share a World."""
        return f"{self.stack} {sorted((self.fault.options or {}).items(), key=str)}"


def turns(faults: Iterable[Fault], seeds_of: dict[str, Iterable[int]]) -> list[Turn]:
    """Seed i is of stack i modulo their number. Turns that share a World are neighbours."""
    found = []
    for fault in faults:
        for index, stack in enumerate(fault.stacks):
            seeds = tuple(s for s in seeds_of[fault.name] if s % len(fault.stacks) == index)
            found.append(Turn(fault, stack, seeds))
    worlds = [turn.world for turn in found]
    return sorted((turn for turn in found if turn.seeds), key=lambda turn: worlds.index(turn.world))


class Worlds:
    """One World at a time, kept while the next turn can use it."""

    def __init__(self, *, long: bool) -> None:
        self._long = long
        self._open: tuple[str, World] | None = None
        self._ending = contextlib.ExitStack()

    def __enter__(self) -> "Worlds":
        return self

    def __exit__(self, *_: Any) -> None:
        self.discard()

    def one_for(self, turn: Turn) -> World:
        if self._open is None or self._open[0] != turn.world:
            self.discard()
            world = World(turn.stack, long=self._long, **(turn.fault.options or {}))
            self._open = turn.world, self._ending.enter_context(world)
        return self._open[1]

    def discard(self) -> None:
        self._open = None
        self._ending.close()


def run(turn: Turn, worlds: Worlds) -> Iterator[Record]:
    """Raises what the harness itself does wrong; the World is then given up, too."""
    for seed in turn.seeds:
        try:
            world = worlds.one_for(turn)
            record = run_once(turn.fault, world, seed)
        except BaseException:
            worlds.discard()
            raise
        if record.violations:
            _keep_logs(record, world)
            worlds.discard()
        yield record


def run_once(fault: Fault, world: World, seed: int) -> Record:
    """One run. What never happens is a violation."""
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
        violations.append(f"{error} ({_place(error)})")
    seconds = round(time.monotonic() - began, 1)
    return Record(fault.name, seed, str(world.stack), violations, figures, seconds, revision)


def _place(error: BaseException) -> str:
    """Where in the fault's file it was."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/faults/" in frame.filename]
    return f"{frames[-1].name}, line {frames[-1].lineno}" if frames else "afterwards"


def _keep_logs(record: Record, world: World) -> None:
    folder = ledger.OUT / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        (folder / f"{record.fault}-{record.seed}.log").write_text(world.logs())
