"""Many independent items through one operation at once: where one is done, the next takes its place.

Items share the tensor batch axis N and nothing else: what becomes of one depends neither on its neighbours
nor on when it entered, but for rounding in the last bits of float32 (docs/method.md).
"""

from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from gpu_ops.many.events import Entered, Failed, Finished, Tick
from gpu_ops.many.work import Flight, Ready, Work
from gpu_ops.memory import let_go, make_room, out_of_memory
from gpu_ops.progress import State

T = TypeVar("T")
E = TypeVar("E")
R = TypeVar("R")
V = TypeVar("V")

# What a task that is wrong makes an operation raise, its own tree of errors (ValueErrors) included.
FAULTS = (ValueError, TypeError, LookupError, ArithmeticError)


def many(
    work: Work[T, E, R],
    items: Iterable[tuple[Hashable, T]],
    *,
    width: int,
    resume: Mapping[Hashable, State] | None = None,
) -> Generator[Entered | Finished[R] | Failed | Tick, bool | None, None]:
    """Do `work` on all items, at most `width` of them in one tensor step.

    items   (key, task), keys all different; one is taken when there is room for it and never before, so that
            no more than `width` are held at any time
    width   1 or more. Where memory runs out in a step it is halved: half of the items wait, keep where they
            are, and go on later. An item that does not fit alone fails
    resume  states of items by key, from `Tick.states` or a checkpoint of the single operation: those
            items go on from there

    Yields Entered and then Finished or Failed for each item, and a Tick after each tensor step. An item's own
    fault fails that item alone. Sent True, or closed, it ends: what is in flight is dropped. An error that is
    no item's ends it too, as does one that `items` raises; both come through.
    """
    if width < 1:
        raise ValueError(f"width is {width}, expected 1 or more")
    run = _Run(work, iter(items), width, dict(resume or {}))
    while True:
        for event in run.events():
            if (yield event):
                return
        if not run.aboard and not run.room_for_more:
            return


@dataclass
class _Item(Generic[T]):
    key: Hashable
    task: T
    state: State | None


class _Run(Generic[T, E, R]):
    """Where `many` is. aboard: the items in flight, by row."""

    def __init__(
        self,
        work: Work[T, E, R],
        source: Iterator[tuple[Hashable, T]],
        width: int,
        resume: dict[Hashable, State],
    ) -> None:
        self._work, self._source, self._resume = work, source, resume
        self._flight: Flight[E, R] = work.flight()
        self._width = width
        self._waiting: deque[_Item[T]] = deque()  # put back for want of memory
        self._drained = False
        self._steps = self._finished = self._failed = 0
        self.aboard: list[_Item[T]] = []

    @property
    def room_for_more(self) -> bool:
        """Whether a place is free that an item could take."""
        return len(self.aboard) < self._width and (bool(self._waiting) or not self._drained)

    def events(self) -> Iterator[Entered | Finished[R] | Failed | Tick]:
        """Fill up, let go of what is done already, or take a step, and all that comes of it."""
        yield from self._fill()
        yield from self._land()
        if self.aboard and not self.room_for_more:
            yield from self._step()

    def _fill(self) -> Iterator[Entered | Finished[R] | Failed]:
        """Give items the places that are free."""
        while len(self.aboard) < self._width and (item := self._next()) is not None:
            entered = _tried(partial(self._enter, item), FAULTS)
            if not isinstance(entered, Exception):
                yield entered
            elif out_of_memory(entered) and self.aboard:
                self._waiting.appendleft(item)
                self._halve(len(self.aboard) + 1)
            else:
                yield self._fail(item, entered)

    def _next(self) -> _Item[T] | None:
        if self._waiting:
            return self._waiting.popleft()
        for key, task in self._source:
            return _Item(key, task, self._resume.pop(key, None))
        self._drained = True
        return None

    def _enter(self, item: _Item[T]) -> Entered | Finished[R]:
        entry = self._work.prepare(item.task, item.state)
        if isinstance(entry, Ready):
            self._finished += 1
            return Finished(item.key, entry.result)
        self._flight.add(entry)
        self.aboard.append(item)
        return Entered(item.key)

    def _land(self) -> Iterator[Finished[R] | Failed]:
        """Let the items that are done go, with their results."""
        while done := self._flight.done():
            row = done[0]
            item = self.aboard[row]
            result = _tried(partial(self._flight.finish, row), FAULTS)
            if isinstance(result, Exception) and out_of_memory(result) and len(self.aboard) > 1:
                self._halve(len(self.aboard), keep=[row])
                continue
            self._keep([other for other in range(len(self.aboard)) if other != row])
            if isinstance(result, Exception):
                yield self._fail(item, result)
            else:
                self._finished += 1
                yield Finished(item.key, result)

    def _step(self) -> Iterator[Finished[R] | Failed | Tick]:
        """One tensor step, and what comes of it."""
        stepped = _tried(self._flight.step, ())
        losses: Mapping[str, float] = {}
        if not isinstance(stepped, Exception):
            losses = stepped.losses
            bad = [(self.aboard[row], error) for row, error in stepped.failed.items()]
            if bad:
                self._keep([row for row in range(len(self.aboard)) if row not in stepped.failed])
                for item, error in bad:
                    yield self._fail(item, error)
                return
            self._steps += 1
            yield from self._land()
        elif len(self.aboard) > 1:
            self._halve(len(self.aboard))
        else:
            item, self._width = self.aboard[0], 1
            self._keep([])
            yield self._fail(item, stepped)
        yield self._tick(losses)

    def _halve(self, items: int, keep: list[int] | None = None) -> None:
        """Memory ran out for so many items: half of them go on (or these), the others wait where they are."""
        self._width = max(1, items // 2)
        rows = list(range(self._width)) if keep is None else keep
        for row in reversed(range(len(self.aboard))):
            if row not in rows:
                item = self.aboard[row]
                item.state = self._flight.state(row)
                self._waiting.appendleft(item)
        self._keep(rows)

    def _keep(self, rows: list[int]) -> None:
        self._flight.keep(rows)
        self.aboard = [self.aboard[row] for row in rows]

    def _fail(self, item: _Item[T], error: Exception) -> Failed:
        self._failed += 1
        return Failed(item.key, error)

    def _tick(self, losses: Mapping[str, float]) -> Tick:
        return Tick(
            steps=self._steps,
            in_flight=len(self.aboard),
            finished=self._finished,
            failed=self._failed,
            width=self._width,
            losses=losses,
            states=self._states,
        )

    def _states(self) -> dict[Hashable, State]:
        found = {item.key: self._flight.state(row) for row, item in enumerate(self.aboard)}
        found |= {item.key: item.state for item in self._waiting}
        kept = {key: state for key, state in found.items() if state is not None}
        return self._resume | kept  # those that are still to come, too


def _tried(call: Callable[[], V], faults: tuple[type[Exception], ...]) -> V | Exception:
    """What call gives; else its error, stripped of what it held, where that is of memory or one of faults."""
    try:
        return call()
    except Exception as error:
        if out_of_memory(error):
            make_room(error)
        elif isinstance(error, faults):
            let_go(error)
        else:
            raise
        return error.with_traceback(None)
