"""The Celery task, a few lines: whatever job it was rung for, it runs the best eligible one. Then it stays a
moment: who asks for one thing after another is heard at once, and not by way of the parent (decision 38).
"""

import functools
import logging
import time
from dataclasses import replace

from gpu_ops.memory import give_back
from storage.errors import Unavailable
from workers.bench import Bench, bench
from workers.celery_app import app
from workers.drain import Drain
from workers.queue import Hint
from workers.run import take

STAY_S = 0.3
PASS_S, MOST_PASSED = 0.1, 3  # a model takes far longer to load
LONGEST_S = 30.0  # then Celery's part of this worker takes over again
log = logging.getLogger(__name__)


@functools.cache
def _drain() -> Drain:
    return Drain()


@app.task(name="workers.tasks.work")  # type: ignore[untyped-decorator]
def work(queue: str, hint: str = "") -> None:
    """Claim and run a job of a queue, and what comes soon after it. `hint` as Hint writes it."""
    drain = _drain()
    drain.listen()
    log.debug("rung for %s by %s", queue, hint)
    try:
        answer(queue, hint, bench(queue, drain))
    except Unavailable as error:  # no claim was made, or its end is the lease's to tell
        log.warning("no work taken from %s: %s", queue, error)


def answer(queue: str, hint: str, place: Bench) -> None:
    """Answer a ring, and those that come soon after. Raises Unavailable."""
    until, heard = time.monotonic() + LONGEST_S, hint
    while True:
        pass_on(queue, Hint.read(heard), place)
        taken = take(queue, place)  # or where it is told to end, rings again
        if not taken or time.monotonic() > until or place.draining():
            return
        after = place.heard(queue, STAY_S)
        if after is None:
            break
        heard = after
    if not place.pace.short(taken[-1].kind):  # it is idle, and the next long one can fetch its memory anew
        give_back()


def pass_on(queue: str, hint: Hint, place: Bench) -> None:
    """Have another worker hear of a job first, where this one would have to load its model: for a moment,
    after which this one takes the job, if it is still there."""
    if hint.model and hint.passed < MOST_PASSED and not place.models.loaded(hint.model):
        place.ring(queue, str(replace(hint, passed=hint.passed + 1)))
        time.sleep(PASS_S)
