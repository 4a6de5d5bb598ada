"""How many rows are ahead of a waiting one, counted as far as MOST_AHEAD: longer queues cost no more.

A class of a tenant is a stretch of ix_jobs_queued, in the order of age. Of each class those rows alone are
looked at that may be ahead: they are older than the class's bound.
"""

import functools
import time
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Integer,
    Select,
    SmallInteger,
    String,
    bindparam,
    func,
    literal_column,
    select,
    tuple_,
)

from storage.claims import moment, rank_at, tenants_of, waiting
from storage.records import MOST_AHEAD, Job, Priority
from storage.tables import JOBS

_ROW = JOBS.alias("ahead")


def position(connection: Connection, now: ColumnElement[float], job: Job, ageing_s: float) -> int:
    """At most MOST_AHEAD, which stands for so many or more. What the job itself counts as is reckoned by this
    machine's clock: it only says when it rises by a class."""
    at = time.time()
    rank = max(0, job.priority.rank - int(max(0.0, at - job.created_at) / ageing_s))
    values = {
        "in_queue": job.queue, "its_rank": rank, "its_age": job.created_at,
        "this_job": job.id, "most": MOST_AHEAD, **_bounds(job.created_at, at, rank, ageing_s),
    }  # fmt: skip
    return min(MOST_AHEAD, int(connection.execute(_counting(now, ageing_s), values).scalar_one()))


def _bounds(created_at: float, now: float, rank: int, ageing_s: float) -> dict[str, float]:
    """By class: what is ahead of a row that counts as `rank` is no younger than this."""
    bounds = {}
    for priority in range(len(Priority)):
        as_high = min(created_at, now - ageing_s * (priority - rank))
        higher = now - ageing_s * (priority - rank + 1) if rank else as_high
        bounds[f"bound_{priority}"] = now if priority < rank else max(as_high, higher)
    return bounds


@functools.lru_cache
def _counting(clock: ColumnElement[float], ageing_s: float) -> Select[Any]:
    """Parameters: in_queue, its_rank, its_age, this_job, most, and a bound for each class."""
    queue: ColumnElement[str] = bindparam("in_queue", type_=String)
    now = moment(clock)
    tenants, row = tenants_of(queue), _ROW.c
    place = tuple_(
        bindparam("its_rank", type_=Integer), bindparam("its_age", type_=Double()), bindparam("this_job")
    )

    def ahead(priority: int) -> ColumnElement[int]:
        """Of one class of one tenant."""
        rows = select(row.id).where(
            waiting(queue, now, row),
            row.tenant_id == tenants.c.tenant_id,
            row.priority == literal_column(str(priority), SmallInteger),
            row.created_at <= bindparam(f"bound_{priority}", type_=Double()),
            tuple_(rank_at(now, ageing_s, row), row.created_at, row.id) < place,
        )
        some = rows.limit(bindparam("most", type_=Integer)).correlate(tenants).subquery()
        return select(func.count()).select_from(some).scalar_subquery()

    each = [ahead(priority) for priority in range(len(Priority))]
    return select(func.coalesce(func.sum(sum(each[1:], each[0])), 0)).select_from(tenants)
