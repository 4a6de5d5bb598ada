"""How much a file may cost. Standard library only: the reading process uses this too."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """file_bytes     of the file itself
    tensor_bytes      of all tensors that are taken from it
    memory_bytes      of the reading process, the file not counted
    time_s            from start to end, waiting included
    cpu_s             of computing
    pickle_steps      instructions of pickles; a large checkpoint has some 100,000
    tensors           how many tensors are taken
    """

    file_bytes: int = 4 << 30
    tensor_bytes: int = 2 << 30
    memory_bytes: int = 1 << 30
    time_s: float = 300.0
    cpu_s: int = 120
    pickle_steps: int = 4_000_000
    tensors: int = 20_000
