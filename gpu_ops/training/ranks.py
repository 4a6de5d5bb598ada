"""Several processes that train one model, each on its share of every step's pictures.

On a CPU two processes of one thread each are faster than one of two threads: they wait for each other a
few times per step instead of at every operation.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed

RANK, MEETING = "EDITQ_TRAINING_RANK", "EDITQ_TRAINING_MEETING"


@dataclass(frozen=True)
class Ranks:
    """This process is the `rank`-th, from 0, of `count`."""

    rank: int = 0
    count: int = 1

    def share(self, size: int) -> int:
        """How many of a step's `size` items are this process's."""
        return max(size // self.count, 1)

    def average(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace tensors of one dtype by their mean over all processes, in place."""
        if self.count == 1:
            return
        parts = list(tensors)
        flat = torch.cat([part.detach().flatten() for part in parts])
        distributed.all_reduce(flat)
        flat /= self.count
        for part, mean in zip(parts, flat.split([part.numel() for part in parts]), strict=True):
            part.detach().copy_(mean.view_as(part))

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process; all get the same answer."""
        raised = torch.tensor([float(flag)])
        self.average([raised])
        return bool(raised > 0)


ALONE = Ranks()


@contextmanager
def together(count: int, module: str, arguments: Sequence[str]) -> Iterator[Ranks]:
    """Start the other processes (or, in one of them, join), and wait for them at the end."""
    if count == 1:
        yield Ranks()
        return
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    rank = int(os.environ.get(RANK, "0"))
    meeting = os.environ.get(MEETING) or str(Path(tempfile.mkdtemp()) / "meeting")
    others = [
        subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, RANK: str(other), MEETING: meeting},
            start_new_session=True,  # signals go to the first process, which tells the others
        )
        for other in range(1, count if rank == 0 else 1)
    ]
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=count)
    try:
        yield Ranks(rank, count)
        distributed.destroy_process_group()
    finally:
        for other in others:
            other.wait(timeout=60)
