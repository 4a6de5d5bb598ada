"""Two processes train one model, end together when told to, and leave what one alone can go on from."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from gpu_ops.training.commands import MODULE, parse, run_config
from gpu_ops.training.generator import train
from gpu_ops.training.pictures import Pictures
from gpu_ops.training.state import TrainingState

TINY = [
    "--batch",
    "4",
    "--channel-base",
    "64",
    "--channel-max",
    "8",
    "--w-dim",
    "8",
    "--mapping-layers",
    "1",
    "--precision",
    "fp32",
]


def processes_of(folder: Path) -> list[int]:
    """Those whose command line names the folder, wherever they hang in the tree; no zombies."""
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and str(folder) in _command_line(entry)
    ]


def _command_line(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_text()
    except OSError:
        return ""


def within(seconds: float, happened: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_two_ranks_stop_when_told_to_and_one_goes_on(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    np.save(data / "pictures.npy", noise)
    arguments = ["--data", str(data), "--out", str(out), *TINY, "--kimg", "1000", "--log-s", "0"]
    first = subprocess.Popen(
        [sys.executable, "-m", MODULE, *arguments, "--ranks", "2"],
        start_new_session=True,
    )
    log = out / "log.jsonl"
    try:
        assert within(60, lambda: log.exists() and len(log.read_text().splitlines()) >= 2)
        assert len(processes_of(out)) == 2
        first.send_signal(signal.SIGTERM)
        assert first.wait(30) == 128 + signal.SIGTERM
    finally:
        first.kill()
        first.wait()
    assert within(5, lambda: processes_of(out) == [])

    options = parse(arguments)
    state = TrainingState(run_config(options, 8))
    state.load(out / "checkpoint.pt")
    reached = state.step
    assert reached >= 2
    assert json.loads(log.read_text().splitlines()[-1])["step"] == reached
    steps = list(train(state, Pictures.open(data), reached + 2))
    assert [progress.step for progress in steps] == [reached + 1, reached + 2]
    assert all(torch.isfinite(value).all() for value in state.average.state_dict().values())
