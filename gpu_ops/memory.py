"""The memory that tensors take: kept for the next ones, given back, run out of. Imports no torch."""

import ctypes
import errno
import gc
import sys
import traceback
from collections.abc import Callable, Iterator

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


# Of mallopt, as glibc's malloc.h has them.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
MOST_KEPT = (1 << 31) - 1  # bytes, at the top of the heap
LARGEST_KEPT = 32 << 20  # bytes of one allocation: the most that glibc takes


def keep_freed() -> None:
    """Have the C library keep what tensors free for those to come. Else each of some megabytes is fresh pages
    from the system, at every step: a quarter of an edit's time on a CPU. Does nothing where it has no such
    setting."""
    mallopt = _of_libc("mallopt")
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(TRIM_THRESHOLD, MOST_KEPT)


def give_back() -> None:
    """Free what nothing holds any more, and give what is free back to the system and the device."""
    gc.collect()
    trim = _of_libc("malloc_trim")
    if trim is not None:
        trim(0)
    torch = sys.modules.get("torch")  # importing it now might need memory that is not there
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _of_libc(name: str) -> Callable[..., int] | None:
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), name, None)


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
    """After running out of memory: free what the error holds, and give back what is free."""
    let_go(error)
    give_back()


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    torch = sys.modules.get("torch")  # without torch loaded, the error is not torch's
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in TEXTS)
