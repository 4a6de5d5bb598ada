"""How often a job's state is written."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from worker_trial import Trial

from gpu_ops.progress import Progress
from workers.attempt import Attempt
from workers.checkpoints import PAUSE_PER_WRITING, Checkpoints
from workers.models import Models


@dataclass
class Clock:
    now_s: float = 100.0
    writings: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("workers.checkpoints.time", clock)
    return clock


def test_a_state_that_takes_long_to_write_is_written_a_tenth_of_the_time(trial: Trial, clock: Clock) -> None:
    trial.submit()
    claim = trial.stores.jobs.claim("gpu", "trial", lease_s=60)
    assert claim is not None
    attempt = Attempt(claim, trial.stores, Models(trial.stores.objects, trial.settings))
    checkpoints = Checkpoints(attempt, every_s=5.0)

    def state() -> Any:
        clock.now_s += 4.0
        clock.writings.append(clock.now_s)
        return {"x": torch.zeros(1)}

    for step in range(1, 101):
        clock.now_s += 1.0
        checkpoints.keep_when_due(Progress(step, 100, state=state))
    first, second, *_ = clock.writings
    assert first == 109.0, "the first one as often as is set"
    assert second - first == 4.0 + PAUSE_PER_WRITING * 4.0
