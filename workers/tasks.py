"""The Celery task, a few lines: whatever job it was rung for, it runs the best eligible one."""

import functools
import logging

from storage.errors import Unavailable
from workers.bench import bench
from workers.celery_app import app
from workers.drain import Drain
from workers.run import take

log = logging.getLogger(__name__)


@functools.cache
def _drain() -> Drain:
    return Drain()


@app.task(name="workers.tasks.work")  # type: ignore[untyped-decorator]
def work(queue: str, hint: str = "") -> None:
    """Claim and run one job of a queue. `hint` is a job id, for the log alone."""
    drain = _drain()
    drain.listen()
    log.debug("rung for %s by %s", queue, hint)
    try:
        take(queue, bench(queue, drain))
    except Unavailable as error:  # no claim was made, or its end is the lease's to tell
        log.warning("no work taken from %s: %s", queue, error)
