"""Every fault in a short form, one seed over each stack: quick ones in `make test`, all in `make test-all`.

`make chaos` runs more seeds, and `make chaos-kill RUNS=200` as many as one likes.
"""

import os
from collections.abc import Iterator

import pytest
from servers import ServerMissing

from chaos.faults.all import FAULTS
from chaos.runner import Turn, Worlds, run, turns

pytestmark = pytest.mark.chaos
SEEDS = {fault.name: range(len(fault.stacks)) for fault in FAULTS}
QUICK = [fault for fault in FAULTS if fault.quick]
SLOW = [fault for fault in FAULTS if not fault.quick]


@pytest.fixture(scope="module")
def worlds() -> Iterator[Worlds]:
    with Worlds(long=False) as worlds:
        yield worlds


def _name(turn: Turn) -> str:
    return f"{turn.fault.name}-{turn.stack}"


def _holds(turn: Turn, worlds: Worlds) -> None:
    reason = turn.fault.needs()
    try:
        records = [] if reason else list(run(turn, worlds))
    except ServerMissing as error:
        records, reason = [], str(error)
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and CI tests with everything")
    if reason:
        pytest.skip(reason)
    assert [record.violations for record in records] == [[]] * len(turn.seeds)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("turn", turns(QUICK, SEEDS), ids=_name)
def test_a_quick_fault(turn: Turn, worlds: Worlds) -> None:
    _holds(turn, worlds)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("turn", turns(SLOW, SEEDS), ids=_name)
def test_a_slow_fault(turn: Turn, worlds: Worlds) -> None:
    _holds(turn, worlds)
