"""Running out of memory: how to know it, and how to have the memory back. Imports no torch."""

import errno
import sys
import traceback
from collections.abc import Iterator

# What torch, its CPU libraries and CUDA's say where they raise nothing more exact than RuntimeError.
TEXTS = (
    "can't allocate memory",
    "not enough memory",
    "std::bad_alloc",
    "could not create a memory object",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "unable to find an engine to execute this computation",  # cuDNN, each of whose ways ran out
)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it came from, is that memory ran out."""
    return any(_out_of_memory(each) for each in chain(error))


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def let_go(error: BaseException) -> None:
    """Free what the ended calls in an error's traces held: tensors, above all."""
    for each in chain(error):
        traceback.clear_frames(each.__traceback__)


def make_room(error: BaseException) -> None:
    """After running out of memory: free what the error holds, and give back to the device what is free."""
    let_go(error)
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    torch = sys.modules.get("torch")  # without torch loaded, the error is not torch's
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in TEXTS)
