"""A training on a command line that may be ended at any time, and goes on from the state it kept."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TypeVar

from safetensors.torch import load_file, save_file

from gpu_ops.progress import Progress, State, Steps

R = TypeVar("R")
KEPT_EVERY_S = 60.0
SHOWN_EVERY_S = 20.0


def go_on(begin: Callable[[State | None], Steps[R]], kept: Path, title: str) -> R:
    """Run a training to its end, from the state in the file `kept` where there is one.

    The state is kept every minute, and on SIGTERM and SIGINT, which end the process with SystemExit.
    At the end the file is removed.
    """
    asked: list[int] = []

    def ask(signum: int, _frame: FrameType | None) -> None:
        asked.append(signum)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    state = load_file(kept) if kept.exists() else None
    print(f"{title}: {'begins' if state is None else f'goes on from {kept}'}", flush=True)
    try:
        result = _run(begin(state), kept, title, asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    kept.unlink(missing_ok=True)
    return result


def _run(run: Steps[R], kept: Path, title: str, asked: list[int]) -> R:
    saved = shown = time.monotonic()
    while True:
        try:
            progress = next(run)
        except StopIteration as end:
            result: R = end.value
            return result
        now = time.monotonic()
        if now - shown > SHOWN_EVERY_S:
            shown = now
            losses = " ".join(f"{name} {value:.4f}" for name, value in progress.losses.items())
            print(f"{title}: {progress.step}/{progress.total} {losses}", flush=True)
        if asked or now - saved > KEPT_EVERY_S:
            saved = now
            keep(progress, kept)
        if asked:
            run.close()
            raise SystemExit(f"{title}: told to end at step {progress.step}; start again to go on")


def keep(progress: Progress, path: Path) -> None:
    """Write the state, whole or not at all."""
    assert progress.state is not None, "a training that may be ended tells its state"
    unfinished = path.with_name(path.name + ".unfinished")
    save_file(progress.state(), unfinished)
    unfinished.replace(path)
