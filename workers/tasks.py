"""The Celery task, a few lines: whatever job it was rung for, it runs the best eligible one. Then it stays a
moment: who asks for one thing after another is heard at once, and not by way of the parent (decision 38).
"""

import functools
import logging
import time

from storage.errors import Unavailable
from workers.bench import bench
from workers.celery_app import app
from workers.drain import Drain
from workers.run import take

STAY_S = 0.3
LONGEST_S = 30.0  # then Celery's part of this worker takes over again
log = logging.getLogger(__name__)


@functools.cache
def _drain() -> Drain:
    return Drain()


@app.task(name="workers.tasks.work")  # type: ignore[untyped-decorator]
def work(queue: str, hint: str = "") -> None:
    """Claim and run a job of a queue, and what comes soon after it. `hint` is a job id, for the log alone."""
    drain = _drain()
    drain.listen()
    log.debug("rung for %s by %s", queue, hint)
    place, until = bench(queue, drain), time.monotonic() + LONGEST_S
    try:
        while take(queue, place) and time.monotonic() < until and not drain.requested:
            if not place.heard(queue, STAY_S):
                break
    except Unavailable as error:  # no claim was made, or its end is the lease's to tell
        log.warning("no work taken from %s: %s", queue, error)
