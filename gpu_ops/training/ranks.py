"""Several processes that train one model, each on its share of every step's pictures.

On a CPU two processes of one thread each are faster than one of two threads: they wait for each other a
few times per step instead of at every operation.
"""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed

RANK, MEETING = "EDITQ_TRAINING_RANK", "EDITQ_TRAINING_MEETING"
LONGEST_WAIT = timedelta(minutes=5)  # of one process for another: a checkpoint or a grid takes seconds
GRACE_S = 60.0


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
    """Start the other processes (or, in one of them, join), and wait for them at the end.

    None outlives the first one, however that ends.
    """
    if count == 1:
        yield ALONE
        return
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    if RANK in os.environ:
        threading.Thread(target=_end_with_the_first, daemon=True).start()
        with _joined(Ranks(int(os.environ[RANK]), count), os.environ[MEETING]) as ranks:
            yield ranks
        return
    with tempfile.TemporaryDirectory() as folder:
        meeting = str(Path(folder) / "meeting")
        others = [_start(other, meeting, module, arguments) for other in range(1, count)]
        try:
            with _joined(Ranks(0, count), meeting) as ranks:
                yield ranks
        except BaseException:
            for other in others:
                other.kill()
            raise
        finally:
            _await(others)


@contextmanager
def _joined(ranks: Ranks, meeting: str) -> Iterator[Ranks]:
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{meeting}",
        rank=ranks.rank,
        world_size=ranks.count,
        timeout=LONGEST_WAIT,
    )
    yield ranks
    distributed.destroy_process_group()


def _start(rank: int, meeting: str, module: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, RANK: str(rank), MEETING: meeting},
        stdin=subprocess.PIPE,  # its end tells of the first process's
        start_new_session=True,  # signals go to the first process, which tells the others
    )


def _end_with_the_first() -> None:
    os.read(0, 1)  # not sys.stdin, whose lock this thread would hold when the process ends
    os._exit(1)


def _await(others: Sequence[subprocess.Popen[bytes]]) -> None:
    for other in others:
        try:
            other.wait(timeout=GRACE_S)
        except subprocess.TimeoutExpired:
            other.kill()
            other.wait()
