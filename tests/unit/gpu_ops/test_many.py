"""Many at once: who enters, who leaves when, what fails alone, what happens when memory runs out."""

import gc
import weakref
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
import torch
from bowls import Bowl, BowlWork, alone, exhausted

from gpu_ops.errors import NonFiniteError, ShapeError
from gpu_ops.many.events import Entered, Failed, Finished, Tick
from gpu_ops.many.loop import many
from gpu_ops.progress import State

Event = Entered | Finished[State] | Failed | Tick


def bowls(*steps: int, **settings: object) -> list[Bowl]:
    rng = torch.Generator().manual_seed(3)
    return [Bowl(torch.randn(1, 3, 4, generator=rng), n, **settings) for n in steps]  # type: ignore[arg-type]


def run(items: list[Bowl], width: int, work: BowlWork | None = None) -> list[Event]:
    return list(many(work or BowlWork(), enumerate(items), width=width))


def finished(events: list[Event]) -> dict[object, State]:
    return {event.key: event.result for event in events if isinstance(event, Finished)}


def failed(events: list[Event]) -> dict[object, Exception]:
    return {event.key: event.error for event in events if isinstance(event, Failed)}


def ticks(events: list[Event]) -> list[Tick]:
    return [event for event in events if isinstance(event, Tick)]


def assert_alone(found: State, bowl: Bowl) -> None:
    expected = alone(bowl)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("width", [1, 2, 3, 8])
def test_each_item_s_numbers_are_its_own_to_the_bit_whenever_it_enters(width: int) -> None:
    items = bowls(5, 9, 2, 7, 1, 5, 4)
    found = finished(run(items, width))
    assert found.keys() == set(range(7))
    for key, item in enumerate(items):
        assert_alone(found[key], item)


def test_a_place_that_is_free_is_taken_at_once_and_no_item_before_that() -> None:
    taken = 0

    def source() -> Iterator[tuple[int, Bowl]]:
        nonlocal taken
        for key, item in enumerate(bowls(5, 9, 2, 7, 1, 5, 4)):
            taken += 1
            yield key, item

    ended = 0
    work = BowlWork()
    for event in many(work, source(), width=3):
        ended += isinstance(event, Finished)
        assert taken - ended <= 3
    assert work.stepped == [3] * 9 + [2, 2, 1, 1]  # nothing waits any more from step 10 on


def test_results_come_with_the_step_that_made_them_before_its_tick() -> None:
    events = run(bowls(2, 4, 1), width=2)
    names = [type(event).__name__ for event in events]
    assert names == [
        *("Entered", "Entered", "Tick"),
        *("Finished", "Tick", "Entered"),
        *("Finished", "Tick"),
        *("Finished", "Tick"),
    ]
    assert list(finished(events)) == [0, 2, 1]
    told = [(tick.steps, tick.in_flight, tick.finished, tick.width) for tick in ticks(events)]
    assert told == [(1, 2, 0, 2), (2, 1, 1, 2), (3, 1, 2, 2), (4, 0, 3, 2)]


def test_a_tick_tells_the_mean_losses() -> None:
    items = bowls(1, 1)
    (tick,) = ticks(run(items, width=2))
    mean = sum(float(alone(item)["first_loss"]) for item in items) / 2
    assert tick.losses["total"] == pytest.approx(mean)
    assert tick.losses.keys() == {"total", "depth"}


def test_one_whose_loss_no_longer_falls_leaves_early() -> None:
    here, there = bowls(30, 30, patience=3)
    here = Bowl(torch.zeros(1, 3, 4), steps=30, patience=3)  # begins at its deepest point
    found = finished(run([here, there], width=2))
    assert int(found[0]["step"]) == 4
    assert int(found[1]["step"]) > 10


def test_an_item_that_needs_no_step_takes_no_place() -> None:
    work = BowlWork()
    events = run(bowls(0, 2, 0, 2), width=2, work=work)
    assert finished(events).keys() == {0, 1, 2, 3}
    assert work.stepped == [2, 2]


def raising(error: Exception) -> Callable[[], None]:
    def go() -> None:
        raise error

    return go


@pytest.mark.parametrize(
    ("fault", "error", "match"),
    [
        ({"target": torch.zeros(2, 2)}, ShapeError, "2 axes"),
        ({"preparing": raising(KeyError("nose"))}, KeyError, "nose"),
        ({"blows_up_at": 3}, NonFiniteError, "at step 4"),
        ({"finishing": raising(ZeroDivisionError("no outside"))}, ZeroDivisionError, "no outside"),
    ],
)
def test_a_fault_of_one_item_fails_it_alone(
    fault: dict[str, object], error: type[Exception], match: str
) -> None:
    items = bowls(5, 9, 6, 7)
    bad = Bowl(**{"target": items[0].target, "steps": 6, **fault})  # type: ignore[arg-type]
    events = run([items[0], items[1], bad, *items[2:]], width=2)
    (told,) = failed(events).values()
    assert isinstance(told, error)
    assert match in str(told)
    assert told.__traceback__ is None
    found = finished(events)
    for key, item in zip((0, 1, 3, 4), items, strict=True):
        assert_alone(found[key], item)
    assert (ticks(events)[-1].finished, ticks(events)[-1].failed) == (4, 1)


def test_all_may_fail() -> None:
    events = run(bowls(5, 5, 5, blows_up_at=1), width=2)
    assert [str(error) for error in failed(events).values()] == ["the loss is no longer finite at step 2"] * 3
    assert not finished(events)


def test_an_error_that_is_no_item_s_comes_through() -> None:
    broken = Bowl(torch.zeros(1, 3, 4), stepping=raising(RuntimeError("CUDA error: device-side assert")))
    with pytest.raises(RuntimeError, match="device-side"):
        run([*bowls(5), broken], width=2)

    def source() -> Iterator[tuple[int, Bowl]]:
        yield 0, bowls(5)[0]
        raise OSError("the store is away")

    with pytest.raises(OSError, match="away"):
        list(many(BowlWork(), source(), width=2))


@pytest.mark.parametrize("how", ["sent", "closed"])
def test_told_to_stop_it_takes_and_steps_no_more(how: str) -> None:
    taken = []

    def source() -> Iterator[tuple[int, Bowl]]:
        for key, item in enumerate(bowls(5, 5, 5, 5)):
            taken.append(key)
            yield key, item

    work = BowlWork()
    events = many(work, source(), width=2)
    while not isinstance(next(events), Tick):
        pass
    if how == "sent":
        with pytest.raises(StopIteration):
            events.send(True)
    else:
        events.close()
    assert (taken, work.stepped) == ([0, 1], [2])
    assert list(events) == []


def test_a_width_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="width is 0"):
        next(many(BowlWork(), [], width=0))
    assert run([], width=3) == []


@pytest.mark.thorough
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 12 bytes"),
        MemoryError(),
    ],
)
def test_where_memory_runs_out_half_wait_and_no_step_is_lost(error: Exception) -> None:
    items = bowls(5, 9, 6, 7, 3, 4, 8, 5, 2)
    work = BowlWork(fits=3, exhaust=raising(error))
    events = run(items, width=8, work=work)
    found = finished(events)
    for key, item in enumerate(items):
        assert_alone(found[key], item)
    widths = [tick.width for tick in ticks(events)]
    assert widths[:3] == [4, 2, 2]
    assert set(widths[1:]) == {2}
    assert sum(work.stepped) == sum(item.steps for item in items)
    assert max(work.stepped) == 2


def test_memory_that_runs_out_half_way_costs_no_step_either() -> None:
    items = bowls(6, 6, 6, 6, 6)
    work = BowlWork()
    found: list[Event] = []
    for event in many(work, enumerate(items), width=4):
        found.append(event)
        if isinstance(event, Tick) and event.steps == 3:
            work.fits = 2
    for key, item in enumerate(items):
        assert_alone(finished(found)[key], item)
    assert sum(work.stepped) == 30
    assert [event.key for event in found if isinstance(event, Entered)] == [0, 1, 2, 3, 2, 3, 4]


@pytest.mark.thorough
def test_an_item_that_does_not_fit_alone_fails_and_the_others_go_on() -> None:
    items = bowls(5, 5, 5)
    huge = Bowl(items[0].target, stepping=exhausted)
    events = run([items[0], huge, *items[1:]], width=4)
    (error,) = failed(events).values()
    assert isinstance(error, torch.OutOfMemoryError)
    assert list(failed(events)) == [1]
    for key, item in zip((0, 2, 3), items, strict=True):
        assert_alone(finished(events)[key], item)
    assert ticks(events)[-1].width == 1


@pytest.mark.thorough
@pytest.mark.parametrize(("when", "times", "width"), [("preparing", 2, 1), ("finishing", 1, 2)])
def test_memory_may_run_out_while_an_item_is_prepared_or_finished(when: str, times: int, width: int) -> None:
    """With others in flight it is tried again, with fewer of them; by itself it fails."""
    tried = 0

    def short_at_first() -> None:
        nonlocal tried
        tried += 1
        if tried <= times:
            exhausted()

    others = bowls(5, 5, 5)
    for hook, fails in ((short_at_first, False), (exhausted, True)):
        last = Bowl(torch.ones(1, 3, 4), 3, **{when: hook})
        events = run([*others, last], width=4)
        assert list(failed(events)) == ([3] if fails else [])
        for key, item in enumerate(others if fails else [*others, last]):
            assert_alone(finished(events)[key], item)
        assert fails or ticks(events)[-1].width == width


@pytest.mark.thorough
def test_nothing_that_the_failed_step_held_stays() -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def hold_and_raise() -> None:
        graph = torch.zeros(1000)
        held.append(weakref.ref(graph))
        exhausted()

    for event in many(BowlWork(fits=1, exhaust=hold_and_raise), enumerate(bowls(3, 3)), width=2):
        if isinstance(event, Tick) and held:
            gc.disable()  # freed by itself, not by the collector
            alive = [ref() is not None for ref in held]
            gc.enable()
            assert alive == [False]
    kept = failed(run([Bowl(torch.zeros(1, 3, 4), stepping=hold_and_raise)], width=1))
    assert len(held) == 2
    assert held[1]() is None
    assert list(kept) == [0]


@pytest.mark.parametrize("cut", [1, 4, 8, 11])
def test_a_cut_and_a_restart_change_no_bit(cut: int) -> None:
    items = bowls(5, 9, 6, 7, 3, 4)
    first = many(BowlWork(), enumerate(items), width=2)
    before: list[Event] = []
    while not (before and isinstance(before[-1], Tick) and before[-1].steps == cut):
        before.append(next(first))
    states = ticks(before)[-1].states()
    first.close()
    ended = finished(before)
    rest = [(key, item) for key, item in enumerate(items) if key not in ended]
    assert len(states) == min(2, len(rest)) - (before[-1].in_flight < 2 and len(rest) > 1)
    second = BowlWork()
    after = list(many(second, rest, width=3, resume=states))
    done = sum(int(state["step"]) for state in (*states.values(), *ended.values()))
    assert done + sum(second.stepped) == sum(item.steps for item in items)
    for key, item in enumerate(items):
        assert_alone((ended | finished(after))[key], item)


def test_states_hold_those_that_wait_and_those_still_to_come_too() -> None:
    items = bowls(9, 9, 9, 9)
    run_once = many(BowlWork(), enumerate(items), width=4)
    ticked = [event for event, _ in zip(run_once, range(6), strict=False) if isinstance(event, Tick)]
    states = ticked[-1].states()
    run_once.close()
    assert states.keys() == {0, 1, 2, 3}
    again = many(BowlWork(fits=2), enumerate(items), width=3, resume=states)
    for event in again:
        if isinstance(event, Tick):
            assert event.states().keys() == {0, 1, 2, 3}
            if event.steps == 1:
                break


def test_a_state_that_does_not_fit_fails_its_item_alone() -> None:
    items = bowls(4, 4)
    wrong = alone(Bowl(torch.zeros(1, 2, 2), steps=2))
    events = list(many(BowlWork(), enumerate(items), width=2, resume={1: wrong}))
    assert isinstance(failed(events)[1], ShapeError)
    assert_alone(finished(events)[0], items[0])


def test_items_that_are_done_already_are_finished_without_a_step() -> None:
    items = bowls(4, 4)
    work = BowlWork()
    events = list(many(work, enumerate(items), width=2, resume={0: alone(items[0])}))
    assert all(one <= other for one, other in pairwise(tick.finished for tick in ticks(events)))
    assert work.stepped == [1] * 4
    for key, item in enumerate(items):
        assert_alone(finished(events)[key], item)
