"""Every fault, in the order of the table in docs/reliability.md."""

from chaos.checks import Fault
from chaos.faults import (
    broker,
    clock,
    commit,
    crowds,
    database,
    exhausted,
    kill,
    objects,
    partition,
    points,
    soak,
)

FAULTS: list[Fault] = [
    kill.KILL,
    points.POINTS,
    commit.TERM,
    commit.ANSWER,
    broker.CUT,
    broker.KILLED,
    broker.EMPTIED,
    broker.FROZEN,
    objects.ERRORS,
    objects.SLOW,
    objects.RESET,
    objects.OUTAGE,
    database.DATABASE_CUT,
    database.PAUSED,
    exhausted.DISK,
    exhausted.MEMORY,
    clock.CLOCK,
    crowds.POISON,
    crowds.DUPLICATES,
    crowds.ROWS,
    crowds.CANCEL,
    partition.PARTITION,
    soak.SOAK,
]
