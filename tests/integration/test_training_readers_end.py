"""A training that is told to end keeps its state, and the same command goes on from there."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

COUNT, SIZE_PX = 80, 16
GENEROUS_S = 110


@pytest.fixture
def renders(tmp_path: Path) -> Path:
    """A folder as gpu_ops.scenes.dataset writes it, of noise."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "pictures.npy", rng.integers(0, 256, (COUNT, SIZE_PX, SIZE_PX, 3), dtype=np.uint8))
    rows = [
        {"seed": seed, "identity": seed // 4, "smile": 0.9 * (-1) ** seed, "expression": word}
        for seed, word in enumerate(["smiling", "frowning"] * (COUNT // 2))
    ]
    (tmp_path / "scenes.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return tmp_path


def command(role: str, renders: Path, steps: int) -> subprocess.Popen[str]:
    where = ["--data", renders, "--held-out", renders, "--out", renders / f"{role}.safetensors"]
    asked = [sys.executable, "-m", f"gpu_ops.training.{role}", *map(str, where), "--steps", str(steps)]
    return subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("role", ["smile", "identity"])
def test_a_training_told_to_end_goes_on_where_it_was(role: str, renders: Path) -> None:
    weights, state = renders / f"{role}.safetensors", renders / f"{role}.state"
    process = command(role, renders, steps=1_000_000)
    assert process.stdout is not None
    assert process.stdout.readline() == f"{role}: begins\n"
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=GENEROUS_S)[0]
    assert process.returncode == 1
    assert "told to end at step" in told
    assert not weights.exists()
    done = int(load_file(state)["step"])
    assert done >= 1
    process = command(role, renders, steps=done + 2)
    told = process.communicate(timeout=GENEROUS_S)[0]
    assert process.returncode == 0, told
    assert told.startswith(f"{role}: goes on from")
    assert weights.exists()
    assert not state.exists()
    assert json.loads(weights.with_suffix(".json").read_text())["n"] == COUNT
