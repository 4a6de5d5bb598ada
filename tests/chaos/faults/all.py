"""Every fault, in the order of the table in docs/reliability.md."""

from chaos.checks import Fault
from chaos.faults import broker, commit, database, exhausted, kill, objects
from chaos.faults.batch import BATCH, BATCH_ON_HOSTS
from chaos.faults.cancel import CANCEL
from chaos.faults.clock import CLOCK
from chaos.faults.duplicates import DUPLICATES
from chaos.faults.partition import PARTITION
from chaos.faults.points import POINTS
from chaos.faults.poison import POISON
from chaos.faults.rows import ROWS
from chaos.faults.soak import SOAK

FAULTS: list[Fault] = [
    kill.KILL,
    POINTS,
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
    CLOCK,
    POISON,
    DUPLICATES,
    ROWS,
    CANCEL,
    PARTITION,
    BATCH,
    BATCH_ON_HOSTS,
    SOAK,
]
