"""`editq models import --to`, from the command line to the folder."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from importers_files import write_rosinality
from importers_networks import Shape, rosinality_network

from gpu_ops.bundle import read_description

pytestmark = pytest.mark.thorough


def editq(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "editq.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=110, check=False)


def test_a_generator_and_its_vector(tmp_path: Path) -> None:
    write_rosinality(tmp_path / "My Cars.pt", rosinality_network(Shape(8)))
    np.save(tmp_path / "wheels.npy", np.ones((1, 4, 10), np.float32))
    done = editq("models", "import", "My Cars.pt", "wheels.npy", "--to", "my-cars", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "written: my-cars" in done.stdout
    assert read_description(tmp_path / "my-cars")["vectors"][0]["name"] == "wheels"


def test_modules_beside_the_files_are_not_imported(tmp_path: Path) -> None:
    np.save(tmp_path / "wheels.npy", np.ones((1, 4, 10), np.float32))
    for name in ("torch", "numpy", "json", "gpu_ops"):
        (tmp_path / f"{name}.py").write_text("open('canary', 'w').close()")
    done = editq("models", "import", "wheels.npy", "--to", "wheels", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "canary").exists()


def test_a_refusal_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "-one.pkl").write_bytes(b"\x80\x04cos\nsystem\n.")
    done = editq("models", "import", "--to", "model", "--", "-one.pkl", cwd=tmp_path)
    assert done.returncode == 1
    assert "refused (forbidden_content): -one.pkl: the pickle names 'os.system'" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["-one.pkl"]
