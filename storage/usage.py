"""What jobs came to, summed by tenant, day and kind: kept when the rows of the jobs are gone."""

import dataclasses
import functools
from typing import Any

from sqlalchemy import Connection, bindparam

from storage.records import Job, Status, Usage
from storage.tables import USAGE

DAY_S = 86400
_PLACE = ("tenant_id", "day", "kind")
_SUMS = ("jobs", "attempts", "gpu_s")


def used(before: Job, after: Job) -> Usage | None:
    """What this change of a job adds to its tenant's account; None where no attempt and no job ended."""
    attempts = int(before.status is Status.RUNNING and after.status is not Status.RUNNING)
    jobs = int(after.status.ended and not before.status.ended)
    if not attempts and not jobs:
        return None
    day = int(after.updated_at // DAY_S)
    return Usage(after.tenant_id, day, after.kind, jobs, attempts, after.gpu_s - before.gpu_s)


def added(one: Usage | None, other: Usage) -> Usage:
    if one is None:
        return other
    sums = {name: getattr(one, name) + getattr(other, name) for name in _SUMS}
    return dataclasses.replace(other, **sums)


def account(connection: Connection, into: Any, *changes: tuple[Job, Job]) -> None:
    """Write what changes of jobs, each before and after, come to, in their transaction. `into`: the dialect's
    INSERT."""
    sums: dict[tuple[object, ...], Usage] = {}
    for before, after in changes:
        use = used(before, after)
        if use is not None:
            place = (use.tenant_id, use.day, use.kind)
            sums[place] = added(sums.get(place), use)
    for use in sums.values():
        connection.execute(_adding(into), dataclasses.asdict(use))


@functools.cache
def _adding(into: Any) -> Any:
    row = into(USAGE).values({name: bindparam(name) for name in (*_PLACE, *_SUMS)})
    sums = {name: USAGE.c[name] + row.excluded[name] for name in _SUMS}
    return row.on_conflict_do_update(index_elements=list(_PLACE), set_=sums)
