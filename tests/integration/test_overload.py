"""More than the service can take, for some seconds; in full: `python -m benchmarks.overload`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("postgres_url", "valkey_url")
def test_the_refused_are_told_so_and_all_that_was_taken_is_done() -> None:
    """Times are not judged here: other tests run beside."""
    path = f"{ROOT}:{ROOT / 'tests'}"
    command = [sys.executable, "-m", "benchmarks.overload", "--short"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
