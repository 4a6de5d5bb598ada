"""`make demo`, with the bundled model and picture, as a stranger runs it."""

import json
import os
import sys
import time

import pytest
from PIL import Image
from places import ROOT, finish

DEMO = (sys.executable, "-m", "editq.demo")
BUNDLED = ROOT / "gpu_ops" / "pretrained" / "cars" / "model.json"
NUMBERS = (
    *("seconds", "steps", "loss_first", "loss_last", "iou_before", "iou_after"),
    *("judge_iou_before", "judge_iou_after", "psnr_outside_db", "lpips_outside"),
)

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not BUNDLED.exists() and os.environ.get("CI") != "true", reason="the bundled model is not there yet"
    ),
]


def test_the_demo_edits_a_picture_and_leaves_nothing_running(place):
    began = time.monotonic()
    demo = place.start(DEMO)
    said = finish(demo, timeout_s=280)
    assert demo.returncode == 0, said
    assert place.processes() == []

    out = place.path.parent / "demo-out"
    figures = json.loads((out / "summary.json").read_text())
    assert {name: figures[name] for name in NUMBERS if not isinstance(figures[name], int | float)} == {}
    assert figures["iou_after"] > figures["iou_before"]
    assert figures["model"] == "cars"
    assert len(figures["model_digest"]) == 64
    assert figures["perceptual_backbone"]
    assert figures["demo_seconds"] < time.monotonic() - began
    with Image.open(out / "contact_sheet.png") as sheet:
        assert min(sheet.size) > 800
    assert "step " in said
    for path in ("contact_sheet.png", "summary.json"):
        assert str(out.relative_to(place.path.parent) / path) in said
