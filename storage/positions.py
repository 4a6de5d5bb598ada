"""How many rows are ahead of a waiting one, counted as far as MOST_AHEAD: longer queues cost no more.

A class of a tenant is a stretch of ix_jobs_queued, in the order of age. Of each class those rows alone are
looked at that may be ahead: they are older than the class's bound.
"""

import functools
import math
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
    or_,
    select,
    true,
    tuple_,
    union_all,
)

from storage.claims import moment, tenants_of, waiting
from storage.records import MOST_AHEAD, Job, Priority
from storage.tables import JOBS

_ROW = JOBS.alias("ahead")


def position(connection: Connection, now: ColumnElement[float], job: Job, ageing_s: float) -> int:
    """At most MOST_AHEAD, which stands for so many or more. When rows rise by a class is reckoned by this
    machine's clock, which classes of 10 minutes do not mind."""
    values = {
        "in_queue": job.queue, "its_age": job.created_at, "this_job": job.id,
        **_bounds(job, time.time(), ageing_s),
    }  # fmt: skip
    return min(MOST_AHEAD, int(connection.execute(_counting(now), values).scalar_one()))


def _bounds(job: Job, now: float, ageing_s: float) -> dict[str, float]:
    """By class: rows of it that count as higher than the job are no younger than `higher`, and those that
    count as at least as high, and are as old, no younger than `bound`."""
    rank = max(0, job.priority.rank - int(max(0.0, now - job.created_at) / ageing_s))
    bounds: dict[str, float] = {}
    for priority in range(len(Priority)):
        higher = now - ageing_s * (priority - rank + 1) if rank else -math.inf
        if priority < rank:
            higher = math.inf
        as_high = min(job.created_at, now - ageing_s * (priority - rank))
        bounds |= {f"higher_{priority}": higher, f"bound_{priority}": max(as_high, higher)}
    return bounds


@functools.lru_cache
def _counting(clock: ColumnElement[float]) -> Select[int]:
    """Parameters: in_queue, its_age, this_job, and two bounds for each class.

    It is kept short: what is longer than 4,096 characters psycopg reads anew each time. All but the queue are
    columns of the classes, so that what PostgreSQL expects does not hang on them: or it plans anew each time.
    """
    queue: ColumnElement[str] = bindparam("in_queue", type_=String)
    now = moment(clock)
    tenants, row = tenants_of(queue), _ROW.c
    classes = union_all(*map(_class, range(len(Priority)))).subquery("classes")
    rows = select(row.id).where(
        waiting(queue, now, row),
        row.tenant_id == tenants.c.tenant_id,
        row.priority == classes.c.priority,
        row.created_at <= classes.c.bound,
        or_(
            row.created_at <= classes.c.higher,
            tuple_(row.created_at, row.id) < tuple_(classes.c.age, classes.c.job),
        ),
    )
    first = rows.order_by(row.created_at, row.id)  # or PostgreSQL reads the whole table for them
    some = first.limit(literal_column(str(MOST_AHEAD), Integer)).correlate(tenants, classes).subquery()
    ahead = select(func.count()).select_from(some).scalar_subquery()
    return select(func.coalesce(func.sum(ahead), 0)).select_from(tenants.join(classes, true()))


def _class(priority: int) -> Select[*tuple[Any, ...]]:
    return select(
        literal_column(str(priority), SmallInteger).label("priority"),
        bindparam(f"bound_{priority}", type_=Double()).label("bound"),
        bindparam(f"higher_{priority}", type_=Double()).label("higher"),
        bindparam("its_age", type_=Double()).label("age"),
        bindparam("this_job", type_=String).label("job"),
    )
