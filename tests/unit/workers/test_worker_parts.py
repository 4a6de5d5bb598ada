"""The small parts: decisions, signals, back-off, and what may be imported where."""

import errno
import importlib.metadata
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from gpu_ops import errors as operation
from storage import errors
from storage.memory import memory_stores
from storage.records import Claim, Count, Job
from storage.settings import Settings
from workers.attempt import Attempt
from workers.drain import SIGNALS, Drain, ignore_until_a_task_begins
from workers.housekeeping import Backoff
from workers.presence import likely_device
from workers.retry import Fail, Limits, Retry, decide, named

LIMITS = Limits(failures=10, outages=20)


def counted(**counts: int) -> Job:
    return replace(memory_stores().jobs.add("local", "sample", {}), **counts)


def test_what_cannot_pass_fails_at_once() -> None:
    for error in (errors.NonFinite("x"), errors.InternalError("x"), errors.MaskUnchanged("x")):
        assert decide(error, counted(), LIMITS) == Fail(Count.FAILURES)


def test_pauses_grow_and_end() -> None:
    pauses = []
    for failures in range(9):
        decision = decide(errors.Stalled("x"), counted(failures=failures), LIMITS)
        assert isinstance(decision, Retry)
        assert decision.count is Count.FAILURES
        pauses.append(decision.after_s)
    assert 1.5 <= pauses[0] <= 2.5
    assert pauses[4] > pauses[0]
    assert max(pauses) <= 150
    assert decide(errors.Stalled("x"), counted(failures=9), LIMITS) == Fail(Count.FAILURES)


@pytest.mark.parametrize("error", [errors.StorageUnavailable("x"), errors.StorageFull("x")])
def test_an_outage_of_five_minutes_is_survived_and_an_endless_one_ends(error: errors.EditqError) -> None:
    limits, waited_s, outages = Limits(3, Settings().max_outages), 0.0, 0
    while isinstance(decision := decide(error, counted(outages=outages), limits), Retry):
        assert decision.count is Count.OUTAGES
        assert decision.after_s <= 75
        waited_s += decision.after_s
        outages += 1
    assert decision == Fail(Count.OUTAGES)
    assert outages == 19
    assert waited_s > 600


def test_out_of_memory_is_tried_once_more() -> None:
    first = decide(errors.OutOfMemory("x"), counted(), LIMITS)
    assert isinstance(first, Retry)
    assert first.count is Count.OUT_OF_MEMORY
    again = decide(errors.OutOfMemory("x"), counted(out_of_memory=1), LIMITS)
    assert again == Fail(Count.OUT_OF_MEMORY)


def test_each_class_of_errors_is_counted_apart() -> None:
    tried = counted(failures=9, outages=19, out_of_memory=1, lost=2, drains=100)
    for error in (errors.ObjectCorrupt("x"), errors.StorageUnavailable("x"), errors.OutOfMemory("x")):
        assert isinstance(decide(error, tried, LIMITS), Fail)
    fresh = counted(lost=2, drains=100)
    for error in (errors.ObjectCorrupt("x"), errors.StorageUnavailable("x"), errors.OutOfMemory("x")):
        assert isinstance(decide(error, fresh, LIMITS), Retry)
    assert isinstance(decide(errors.Stalled("x"), counted(outages=19, out_of_memory=1), LIMITS), Retry)


@pytest.mark.parametrize(("times", "batch"), [(0, 8), (1, 4), (5, 1)])
def test_the_tensor_batch_is_halved_for_each_time_out_of_memory(times: int, batch: int) -> None:
    stores = memory_stores()
    attempt = Attempt(Claim(counted(out_of_memory=times), "token"), stores, None)
    assert attempt.tensor_batch(8) == batch


def came_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


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
        (RuntimeError("std::bad_alloc"), "out_of_memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling x"), "out_of_memory"),
        (torch.AcceleratorError("CUDA error: out of memory"), "out_of_memory"),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), "device_failed"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "device_failed"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out_of_memory"),
        (came_from(operation.WeightsError("x"), torch.OutOfMemoryError("x")), "out_of_memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "storage_full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "storage_full"),
        (OSError(errno.EIO, "x"), "internal_error"),
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


def test_rings_in_vain_grow_rarer_up_to_four_passes() -> None:
    backoff = Backoff(pass_s=5.0)
    pauses = []
    for _ in range(4):
        backoff.rung(now=100.0)
        pauses.append(backoff.not_before - 100.0)
    assert pauses == [5.0, 10.0, 20.0, 20.0]
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


@pytest.mark.thorough
def test_no_parent_loads_torch_and_no_doorbell_celerys_configuration() -> None:
    check = """
import sys, workers.queue
assert "workers.celery_app" not in sys.modules
import workers.lifecycle, workers.tasks, workers.release
assert not {"torch", "lpips"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", check], check=True)
