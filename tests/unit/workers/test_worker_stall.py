"""Work that hangs: the heartbeat writes on the row what that means, and ends the process."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import faulty
import pytest
from worker_trial import Trial

from storage.records import Job, Status
from workers.guard import EXIT_STATUS

pytestmark = pytest.mark.thorough

Hanging = Callable[[Callable[[], object]], faulty.AnyRecipe]


@pytest.fixture
def impatient(trial: Trial) -> Trial:
    limits = {"stall_s": 0.2, "stall_loading_s": 0.2}
    trial.settings = trial.settings.model_copy(update=limits)
    return trial


def hang(trial: Trial, hanging: Hanging) -> Job:
    """The row while the work still hangs; then it is let go, and ends as it may."""
    released, job = threading.Event(), trial.submit()
    worker = threading.Thread(target=lambda: trial.take(hanging(lambda: released.wait(20)), lease_s=0.3))
    worker.start()
    deadline = time.monotonic() + 10
    while not trial.guard.ends and time.monotonic() < deadline:
        time.sleep(0.01)
    row = trial.get(job)
    released.set()
    worker.join(timeout=10)
    return row


@pytest.mark.parametrize(
    ("hanging", "phase"),
    [(faulty.stepping, "operating"), (faulty.loading, "loading"), (faulty.saving, "saving")],
)
def test_a_phase_that_hangs_is_a_failure_and_ends_the_process(
    impatient: Trial, hanging: Hanging, phase: str
) -> None:
    job = hang(impatient, hanging)
    assert impatient.guard.ends == 1
    assert (job.status, job.failures, job.lost) == (Status.QUEUED, 1, 0)
    event = impatient.stores.jobs.events("local", job.id)[-1]
    assert event.data["error"]["code"] == "stalled"
    assert phase in event.data["error"]["detail"]
    assert job.not_before > time.time()
    assert impatient.get(job) == job, "the worker that woke up wrote nothing"


def test_work_that_always_hangs_fails_as_stalled(impatient: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.retry.FIRST_PAUSE_S", 0.0)
    impatient.submit()
    for times in range(1, 4):
        impatient.guard.ends = 0
        released = threading.Event()
        worker = threading.Thread(
            target=lambda hold=released: impatient.take(faulty.stepping(lambda: hold.wait(20)), lease_s=0.3)
        )
        worker.start()
        deadline = time.monotonic() + 10
        while not impatient.guard.ends and time.monotonic() < deadline:
            time.sleep(0.01)
        released.set()
        worker.join(timeout=10)
        (job,) = impatient.stores.jobs.list("local").items
        assert job.failures == times
    assert (job.status, job.lost) == (Status.FAILED, 0)
    assert job.error is not None
    assert job.error["code"] == "stalled"


def test_slow_steps_are_no_stall(impatient: Trial) -> None:
    job = impatient.submit()
    impatient.take(faulty.slow(0.1, steps=8), lease_s=0.3)
    assert impatient.get(job).status is Status.SUCCEEDED
    assert impatient.guard.ends == 0


def test_many_outputs_written_one_after_the_other_are_no_stall(impatient: Trial) -> None:
    job = impatient.submit()
    impatient.take(faulty.saving_many(0.1, outputs=8), lease_s=0.3)
    assert impatient.get(job).status is Status.SUCCEEDED
    assert impatient.guard.ends == 0


def test_the_guard_is_armed_while_a_job_runs_and_never_after(impatient: Trial) -> None:
    armed: list[float | None] = []
    impatient.submit()
    impatient.take(faulty.recipe(lambda step: armed.append(impatient.guard.armed_s)), lease_s=5)
    assert armed == [pytest.approx(5.2)] * faulty.STEPS
    assert impatient.guard.armed_s is None


@pytest.mark.parametrize("phase", ["loading", "saving"])
def test_a_phase_longer_than_the_lease_keeps_it(trial: Trial, phase: str) -> None:
    expired: list[Job] = []

    def wait() -> None:
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            time.sleep(0.05)
            expired.extend(trial.stores.jobs.expire(max_lost=3))

    job = trial.submit()
    trial.take({"loading": faulty.loading, "saving": faulty.saving}[phase](wait), lease_s=0.3)
    assert expired == []
    assert (trial.get(job).status, trial.get(job).attempt) == (Status.SUCCEEDED, 1)


ENDING = "from workers.guard import Guard; Guard().end()"
HOLDING_THE_INTERPRETER = """
import re
from workers.guard import Guard
Guard().arm(0.5)
re.match(r"(a+)+b", "a" * 60)  # hours, and no other thread runs meanwhile
"""
DISARMED = """
import time
from workers.guard import Guard
Guard().arm(0.2)
Guard().disarm()
time.sleep(0.6)
"""


@pytest.mark.parametrize(
    ("program", "status", "said"),
    [
        (ENDING, EXIT_STATUS, "most recent call first"),
        (HOLDING_THE_INTERPRETER, 1, "Timeout"),
        (DISARMED, 0, ""),
    ],
)
def test_the_guard_ends_a_real_process(program: str, status: int, said: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
    )
    assert ended.returncode == status, ended.stderr
    assert said in ended.stderr
