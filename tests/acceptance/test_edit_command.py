"""`editq edit`, in one line, with no service named or running: as a stranger types it."""

import os
import signal
import sys

import pytest
from PIL import Image
from places import ROOT, finish, until

BUNDLED = ROOT / "gpu_ops" / "pretrained" / "cars" / "model.json"
CAR = str(ROOT / "examples" / "car.jpg")
EDIT = (sys.executable, "-m", "editq.cli", "edit", CAR, "--grow", "wheel=25%", "-o", "out.png")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not BUNDLED.exists() and os.environ.get("CI") != "true", reason="the bundled model is not there yet"
    ),
]


def test_one_line_edits_a_picture_and_leaves_nothing_running(place):
    command = place.start(EDIT)
    said = finish(command, timeout_s=580)
    assert command.returncode == 0, said
    assert place.processes() == []
    assert "starting one in" in said
    assert "matches the mask wanted" in said
    with Image.open(place.path.parent / "out.png") as picture:
        assert picture.size == (64, 64)
        assert len(picture.getcolors(64 * 64)) > 200, "a picture, and no blank"


def test_ctrl_c_cancels_the_job_and_stops_the_service(place):
    command = place.start(EDIT)
    until(lambda: command.poll() is not None or place.folder.read().get("address"), timeout_s=120)
    with place.client() as client:
        until(lambda: any(job["progress"] for job in client.jobs(status="running")), timeout_s=120)
        said = finish(command, signal.SIGINT)
    assert command.returncode == 130, said
    assert "asked to cancel job" in said
    assert "Traceback" not in said
    assert place.processes() == []
    assert not (place.path.parent / "out.png").exists()
