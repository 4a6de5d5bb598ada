"""The small parts: decisions, signals, back-off, and what may be imported where."""

import importlib.metadata
import os
import signal
import subprocess
import sys

import pytest
import torch

from gpu_ops import errors as operation
from storage import errors
from storage.settings import Settings
from workers.drain import SIGNALS, Drain, ignore_until_a_task_begins
from workers.housekeeping import Backoff
from workers.presence import likely_device
from workers.retry import Fail, Limits, Retry, decide, named


def test_what_cannot_pass_fails_at_once() -> None:
    assert decide(errors.NonFinite("x"), failures=1, limits=Limits(3, 3)) == Fail()
    assert decide(errors.InternalError("x"), failures=1, limits=Limits(3, 3)) == Fail()


def test_pauses_grow_and_end() -> None:
    pauses = []
    for failures in range(1, 10):
        decision = decide(errors.OutOfMemory("x"), failures=failures, limits=Limits(10, 10))
        assert isinstance(decision, Retry)
        pauses.append(decision.after_s)
    assert 1.5 <= pauses[0] <= 2.5
    assert pauses[4] > pauses[0]
    assert max(pauses) <= 150
    assert decide(errors.OutOfMemory("x"), failures=10, limits=Limits(10, 10)) == Fail()


def test_an_outage_of_five_minutes_is_survived_and_an_endless_one_ends() -> None:
    limits, waited_s, failures = Limits(3, Settings().max_unavailable), 0.0, 1
    while isinstance(
        decision := decide(errors.StorageUnavailable("x"), failures=failures, limits=limits), Retry
    ):
        assert decision.after_s <= 75
        waited_s += decision.after_s
        failures += 1
    assert failures == 20
    assert waited_s > 600
    assert decide(errors.ObjectCorrupt("x"), failures=3, limits=limits) == Fail()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (operation.MaskUnchangedError("x"), "mask_unchanged"),
        (operation.NonFiniteError("x"), "non_finite"),
        (operation.ShapeError("x"), "invalid_input"),
        (operation.WeightsError("x"), "internal_error"),
        (torch.OutOfMemoryError("x"), "out_of_memory"),
        (MemoryError(), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out_of_memory"),
        (RuntimeError("x"), "internal_error"),
        (errors.ObjectCorrupt("x"), "object_corrupt"),
    ],
)
def test_every_error_has_a_name_of_ours(error: BaseException, code: str) -> None:
    assert named(error).code == code


def test_signals_between_tasks_are_ignored_and_inside_one_set_the_flag() -> None:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        ignore_until_a_task_begins()
        os.kill(os.getpid(), signal.SIGTERM)
        drain = Drain()
        drain.listen()
        assert not drain.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert drain.requested
        drain.listen()
        assert not drain.requested
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_rings_in_vain_grow_rarer() -> None:
    backoff = Backoff(first_pause_s=5.0)
    pauses = []
    for _ in range(6):
        backoff.rung(now=100.0)
        pauses.append(backoff.not_before - 100.0)
    assert pauses == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    backoff.rest()
    assert backoff.not_before == 0.0


def test_a_device_that_is_named_is_the_device() -> None:
    assert likely_device("cuda:1") == "cuda:1"
    assert likely_device("auto") in ("cpu", "cuda")


def test_a_worker_without_torch_is_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert likely_device("auto") == "cpu"


@pytest.mark.parametrize("module", ["workers.queue", "workers.lifecycle", "workers.tasks", "workers.release"])
def test_no_parent_loads_torch(module: str) -> None:
    check = (
        f"import sys, {module}; assert 'torch' not in sys.modules, 'torch'; assert 'lpips' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def test_the_doorbell_loads_no_celery_configuration() -> None:
    check = "import sys, workers.queue; assert 'workers.celery_app' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True)
