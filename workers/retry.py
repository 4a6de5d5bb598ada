"""What becomes of a job whose attempt ended in an error: the decision, as data."""

import random
import sys
from dataclasses import dataclass

from gpu_ops.memory import chain, out_of_memory
from storage.errors import (
    DeviceFailed,
    EditqError,
    InternalError,
    InvalidInput,
    MaskUnchanged,
    ModelIncomplete,
    NonFinite,
    OutOfMemory,
    StorageFull,
    StorageUnavailable,
)
from storage.objects import FULL_DISK
from storage.records import Count, Job

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 120.0
LONGEST_OUTAGE_PAUSE_S = 60.0
MOST_OUT_OF_MEMORY = 2  # once more with a smaller tensor batch, then never again
DEVICE_FAILED_TEXTS = ("CUDA error", "CUDNN_STATUS_", "CUBLAS_STATUS_")


@dataclass(frozen=True, slots=True)
class Limits:
    """With how many failures of its own, and outages of storage, a job is given up."""

    failures: int
    outages: int


@dataclass(frozen=True, slots=True)
class Retry:
    count: Count
    after_s: float


@dataclass(frozen=True, slots=True)
class Fail:
    count: Count


def decide(error: EditqError, job: Job, limits: Limits) -> Retry | Fail:
    """Whether to try again, and what this end counts as. Pauses double, and are spread by a quarter."""
    count, most, longest_s = _class_of(error, limits)
    times = int(getattr(job, count.value)) + 1
    if not error.retryable or times >= most:
        return Fail(count)
    pause_s = min(longest_s, FIRST_PAUSE_S * 2.0 ** min(times - 1, 30))
    return Retry(count, after_s=pause_s * random.uniform(0.75, 1.25))


def _class_of(error: EditqError, limits: Limits) -> tuple[Count, int, float]:
    """What an error counts as, at which count a job is given up, and the longest pause before that."""
    match error:
        case StorageUnavailable():
            return Count.OUTAGES, limits.outages, LONGEST_OUTAGE_PAUSE_S
        case OutOfMemory():
            return Count.OUT_OF_MEMORY, MOST_OUT_OF_MEMORY, LONGEST_PAUSE_S
    return Count.FAILURES, limits.failures, LONGEST_PAUSE_S


def named(error: BaseException) -> EditqError:
    """The error of our own tree that stands for any error. Its sentence holds nothing of a trace."""
    if isinstance(error, EditqError):
        return error
    if out_of_memory(error):
        return OutOfMemory("The device ran out of memory.")
    if any(_device_failed(each) for each in chain(error)):
        return DeviceFailed("The device reported an error.")
    if any(isinstance(each, OSError) and each.errno in FULL_DISK for each in chain(error)):
        return StorageFull("The worker's disk is full.")
    from gpu_ops import errors as operation  # light: it imports no torch

    match error:
        case operation.MaskUnchangedError():
            return MaskUnchanged(
                "Around the parts that the edit is about, the mask asked for is what is there already.",
                field="q_edit",
                expected="parts that the new mask changes",
            )
        case operation.NonFiniteError():
            return NonFinite(f"The optimisation diverged: {error}.")
        case operation.ShapeError():
            return InvalidInput(f"The input does not fit the model: {error}.")
        case operation.IncompleteModelError():
            return ModelIncomplete(f"{str(error).capitalize()}.", field="model")
        case operation.WeightsError():
            return InternalError(f"The model's weights cannot be used: {error}.")
    return InternalError(f"The attempt ended in an unexpected error ({type(error).__name__}).")


def _device_failed(error: BaseException) -> bool:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.AcceleratorError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in DEVICE_FAILED_TEXTS)
