"""What becomes of a job whose attempt ended in an error: the decision, as data."""

import random
import sys
from dataclasses import dataclass

from storage.errors import (
    EditqError,
    InternalError,
    InvalidInput,
    MaskUnchanged,
    NonFinite,
    OutOfMemory,
    StorageUnavailable,
)

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 120.0
LONGEST_OUTAGE_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """With how many failures a job is given up: after an error of its own, and after an outage of storage."""

    failures: int
    unavailable: int


@dataclass(frozen=True, slots=True)
class Retry:
    after_s: float


@dataclass(frozen=True, slots=True)
class Fail:
    pass


def decide(error: EditqError, *, failures: int, limits: Limits) -> Retry | Fail:
    """Whether to try again; `failures` counts this one too. Pauses double, and are spread by a quarter."""
    away = isinstance(error, StorageUnavailable)
    if not error.retryable or failures >= (limits.unavailable if away else limits.failures):
        return Fail()
    longest_s = LONGEST_OUTAGE_PAUSE_S if away else LONGEST_PAUSE_S
    pause_s = min(longest_s, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 30))
    return Retry(after_s=pause_s * random.uniform(0.75, 1.25))


def named(error: BaseException) -> EditqError:
    """The error of our own tree that stands for any error. Its sentence holds nothing of a trace."""
    if isinstance(error, EditqError):
        return error
    if _out_of_memory(error):
        return OutOfMemory("The device ran out of memory.")
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
        case operation.WeightsError():
            return InternalError(f"The model's weights cannot be used: {error}.")
    return InternalError(f"The attempt ended in an unexpected error ({type(error).__name__}).")


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")  # without torch loaded, the error is not torch's
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
