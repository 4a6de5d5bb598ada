"""The demo's sheet and figures, from jobs as the API shows them."""

import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from editq import report
from editq.live import describe, half_blocks
from editq.sheet import Panel, contact_sheet

pytestmark = pytest.mark.thorough

NAMES = ("input", "inverted", "edited", "difference", "mask", "target_mask", "edited_mask")
PARTS = [
    {"id": 0, "name": "sky", "colour": [80, 160, 240]},
    {"id": 1, "name": "tyre", "colour": [20, 20, 20]},
]
METRICS = {
    "iou_before": 0.51,
    "iou_after": 0.83,
    "judge_iou_before": 0.5,
    "judge_iou_after": 0.79,
    "psnr_outside_db": 33.3,
    "lpips_outside": 0.011,
    "loss_first": 4.2,
    "loss_last": 0.7,
    "perceptual_backbone": "bundled",
}


def png(mode="RGB"):
    picture = Image.fromarray(np.zeros((64, 64), np.uint8))
    stream = io.BytesIO()
    picture.convert(mode).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def edited():
    result = {"seconds": 12.5, "steps": 100, "model": "cars", "model_digest": "ab" * 32}
    return report.Edited(
        inversion={"id": "1" * 32, "result": {"seconds": 40.0, "steps": 500, "psnr_db": 27.1}},
        edit={"id": "2" * 32, "result": {**result, **METRICS}},
        outputs={f"{name}.png": png("P" if "mask" in name else "RGB") for name in NAMES},
        model={"parts": PARTS},
        asked="wheel 1.4 times as large",
        seconds=60.123,
    )


def test_both_files_are_written(edited, tmp_path):
    sheet, summary, figures = report.write(tmp_path / "demo out", edited)
    with Image.open(sheet) as picture:
        assert picture.width == 4 * 384 + 5 * 16
    assert json.loads(summary.read_text()) == figures
    assert sorted(path.name for path in sheet.parent.iterdir()) == ["contact_sheet.png", "summary.json"]


def test_the_summary_has_every_promised_figure(edited):
    figures = report.summary(edited)
    assert METRICS.items() <= figures.items()
    assert figures["job_id"] == "2" * 32
    assert (figures["seconds"], figures["steps"], figures["model"]) == (12.5, 100, "cars")
    assert figures["inversion_psnr_db"] == 27.1
    assert [name for name, value in figures.items() if value is None] == ["inversion_reused"]


def test_an_inversion_that_was_taken_over_says_so(edited):
    shown = dict(report._rows(report.summary(edited)))
    assert shown["inversion"] == "500 steps in 40.0 s, 27.1 dB"
    edited.inversion["result"]["reused"] = "3" * 32
    shown = dict(report._rows(report.summary(edited)))
    assert shown["inversion"] == "found by an earlier job, and taken over, 27.1 dB"


def test_nested_metrics_are_found_too(edited):
    plain = report.summary(edited)
    edited.edit["result"]["metrics"] = {name: edited.edit["result"].pop(name) for name in METRICS}
    assert report.summary(edited) == plain


def test_a_figure_that_is_missing_is_shown_as_such(edited, tmp_path):
    del edited.edit["result"]["judge_iou_after"]
    _, summary, _ = report.write(tmp_path, edited)
    assert json.loads(summary.read_text())["judge_iou_after"] is None


def test_a_mask_is_never_smoothed():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    sheet = contact_sheet([Panel("mask", Image.fromarray(stripes), exact=True)], [], title="", footer=[])
    tile = np.asarray(sheet)[100:400, 16:400]
    assert set(np.unique(tile)) == {0, 255}


def test_pictures_of_any_shape_fit():
    panels = [Panel("wide", Image.new("RGB", (200, 10))), Panel("tiny", Image.new("L", (1, 1)))]
    assert contact_sheet(panels, [], title="t", footer=["f"]).height > 384


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"status": "queued", "queue_position": 0}, "queued, next in turn"),
        ({"status": "queued", "queue_position": 3}, "queued, 3 ahead"),
        ({"status": "queued", "queue_position": 1000}, "queued, 1000 or more ahead"),
        ({"status": "queued"}, "queued"),
        ({"status": "running", "progress": None}, "starting"),
        ({"status": "running", "progress": {"phase": "loading"}}, "loading"),
        (
            {
                "status": "running",
                "progress": {"step": 5, "total": 100, "losses": {"rgb": 0.25}, "seconds_left": 19.4},
            },
            "step 5/100  rgb 0.25  19 s left",
        ),
        ({"status": "running", "progress": {"step": 1, "total": 9, "seconds_left": None}}, "step 1/9"),
        ({"status": "succeeded"}, "succeeded"),
    ],
)
def test_where_a_job_is_in_a_few_words(job, words):
    assert describe(job) == words


def test_a_terminal_picture_has_half_as_many_lines_as_pixels():
    lines = half_blocks(Image.new("P", (64, 64)), columns=32).plain.splitlines()
    assert len(lines) == 16
    assert {len(line) for line in lines} == {32}


LONG_NAMES = ["squeezenet1_1, trained on the attributes of rendered cars, " * 6, "x" * 400]


def margins(sheet):
    """The outermost pixel columns, which nothing may be drawn on."""
    pixels = np.asarray(sheet)
    return np.concatenate([pixels[:, :16], pixels[:, -16:]], axis=1).reshape(-1, 3)


@pytest.mark.parametrize("name", LONG_NAMES, ids=["words", "one-word"])
def test_no_name_leaves_the_sheet_however_long(edited, name):
    short = report.sheet(edited, report.summary(edited))
    edited.edit["result"]["perceptual_backbone"] = name
    edited.model["parts"] = [{"id": 0, "name": "p" * 200, "colour": [0, 0, 0]}]
    sheet = report.sheet(dataclasses.replace(edited, asked=name), report.summary(edited))
    assert sheet.width == short.width
    assert len(np.unique(margins(sheet), axis=0)) == 1


def test_figures_flow_into_lines_that_fit():
    one = contact_sheet([], [], title="", footer=["figure"])
    many = contact_sheet([], [], title="", footer=["a figure of some length"] * 30)
    assert many.height > one.height + 28
    assert len(np.unique(margins(many), axis=0)) == 1


@pytest.mark.parametrize("name", LONG_NAMES, ids=["words", "one-word"])
@pytest.mark.parametrize("width", [60, 80])
def test_the_table_stays_within_the_terminal_and_is_whole(edited, name, width):
    edited.edit["result"]["perceptual_backbone"] = name
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(report.table(report.summary(edited)))
    shown = console.export_text()
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
