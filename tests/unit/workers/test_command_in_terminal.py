"""`editq` as a process: what a person sees in a terminal, and what a script gets through pipes."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from service_trial import serving
from worker_trial import Trial

ROOT = Path(__file__).parents[3]
EDITQ = (sys.executable, "-m", "editq.cli")
EDIT = (*EDITQ, "edit", "car.png", "--grow", "wheel=25%", "--inversion-steps", "3", "--steps", "3")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SIZE = struct.pack("HHHH", 40, 100, 0, 0)  # rows, columns

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(120)]


@pytest.fixture
def folder(plant: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with car.png in it, whose commands ask a service."""
    pixels = np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "car.png")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TERM", "xterm-256color")
    with serving(plant) as address:
        monkeypatch.setenv("EDITQ_URL", address)
        yield tmp_path


def in_terminal(command: tuple[str, ...], folder: Path) -> tuple[int, str]:
    """Exit status, and all that a terminal of 100 columns was sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, SIZE)
    process = subprocess.Popen(command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = bytearray()
    try:
        while piece := os.read(ours, 4096):
            said += piece
    except OSError:  # so a terminal tells that nobody writes to it any more
        pass
    os.close(ours)
    return process.wait(60), said.decode()


def piped(command: tuple[str, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_a_terminal_is_shown_a_bar_and_then_what_came_of_it(folder: Path) -> None:
    status, said = in_terminal((*EDIT, "-o", "out.png"), folder)
    assert status == 0, said
    assert "━" in said  # the bar
    assert "\x1b[?25l" in said
    assert said.rindex("\x1b[?25h") > said.rindex("\x1b[?25l"), "the cursor is shown again"
    told = ESCAPE.sub("", said)
    assert "editing: succeeded in" in told
    assert "the same by an independent judge" in told
    assert (folder / "out.png").exists()


def test_a_pipe_gets_plain_lines_and_json_alone(folder: Path) -> None:
    plain = piped((*EDIT, "-o", "out.png"), folder)
    assert plain.returncode == 0, plain.stderr
    assert "\x1b" not in plain.stdout + plain.stderr
    assert "editing: succeeded in" in plain.stdout + plain.stderr
    asked = piped((*EDIT, "-o", "out.png", "--json"), folder)
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)


def test_what_is_wrong_is_one_sentence_and_a_status_in_both(folder: Path) -> None:
    (folder / "car.png").write_bytes(b"no picture")
    status, said = in_terminal(EDIT, folder)
    plain = piped(EDIT, folder)
    assert (status, plain.returncode) == (1, 1)
    for told in (ESCAPE.sub("", said), plain.stderr):
        assert "Error: This file cannot be read as a picture. Expected: a JPEG, PNG" in told
        assert "Traceback" not in told
