"""What the demo leaves behind: contact_sheet.png, summary.json and the table of figures."""

import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from rich import box
from rich.table import Table

from editq.sheet import LegendEntry, Panel, contact_sheet

JSON = dict[str, Any]
_FIGURES = (
    "steps",
    "loss_first",
    "loss_last",
    "iou_before",
    "iou_after",
    "judge_iou_before",
    "judge_iou_after",
    "psnr_outside_db",
    "lpips_outside",
    "perceptual_backbone",
    "model",
    "model_digest",
)


@dataclass(frozen=True)
class Edited:
    """The two ended jobs, their outputs by name, the model's description, and what was asked for."""

    inversion: JSON
    edit: JSON
    outputs: Mapping[str, bytes]
    model: JSON
    asked: str
    seconds: float


def summary(edited: Edited) -> JSON:
    """Figures that a job did not report are null."""
    found = _flat(edited.edit["result"])
    inversion = _flat(edited.inversion["result"])
    return {
        "job_id": edited.edit["id"],
        "seconds": found.get("seconds"),
        **{name: found.get(name) for name in _FIGURES},
        "inversion_job_id": edited.inversion["id"],
        "inversion_seconds": inversion.get("seconds"),
        "inversion_steps": inversion.get("steps"),
        "inversion_psnr_db": inversion.get("psnr_db"),
        "inversion_reused": inversion.get("reused"),
        "demo_seconds": round(edited.seconds, 2),
    }


def sheet(edited: Edited, figures: JSON) -> Image.Image:
    """The pictures of both jobs, enlarged and labelled, with the key figures beneath."""
    pictures = {name: Image.open(io.BytesIO(data)) for name, data in edited.outputs.items()}
    panels = [
        Panel("input, as the model saw it", pictures["input.png"]),
        Panel("inverted", pictures["inverted.png"]),
        Panel("edited", pictures["edited.png"]),
        Panel("difference", pictures["difference.png"]),
        Panel("mask", pictures["mask.png"], exact=True),
        Panel(f"edited mask: {edited.asked}", pictures["target_mask.png"], exact=True),
        Panel("mask found in the edited picture", pictures["edited_mask.png"], exact=True),
    ]
    legend = [LegendEntry(part["name"], tuple(part["colour"])) for part in edited.model["parts"]]
    footer = [f"{label} {value}" for label, value in _rows(figures)]
    return contact_sheet(panels, legend, title=f"editq: {edited.asked}", footer=footer)


def table(figures: JSON) -> Table:
    rendered = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    rendered.add_column(style="dim", overflow="fold")
    rendered.add_column(overflow="fold")
    for label, value in _rows(figures):
        rendered.add_row(label, value)
    return rendered


def write(folder: Path, edited: Edited) -> tuple[Path, Path, JSON]:
    """Write both files, whole or not at all; returns their paths and the figures."""
    figures = summary(edited)
    picture = io.BytesIO()
    sheet(edited, figures).save(picture, "PNG", optimize=True)
    folder.mkdir(parents=True, exist_ok=True)
    sheet_path, summary_path = folder / "contact_sheet.png", folder / "summary.json"
    _replace(sheet_path, picture.getvalue())
    _replace(summary_path, (json.dumps(figures, indent=2) + "\n").encode())
    return sheet_path, summary_path, figures


def _rows(figures: JSON) -> list[tuple[str, str]]:
    def change(first: str, last: str, form: str) -> str:
        return f"{_number(figures[first], form)} to {_number(figures[last], form)}"

    return [
        ("part matches the mask (IoU)", change("iou_before", "iou_after", ".3f")),
        ("the same, seen by an independent judge", change("judge_iou_before", "judge_iou_after", ".3f")),
        ("unchanged outside (PSNR)", f"{_number(figures['psnr_outside_db'], '.1f')} dB"),
        ("outside (LPIPS)", f"{_number(figures['lpips_outside'], '.4f')} ({figures['perceptual_backbone']})"),
        ("loss", change("loss_first", "loss_last", ".4g")),
        ("edit", f"{figures['steps']} steps in {_number(figures['seconds'], '.1f')} s"),
        ("inversion", f"{_search(figures)}, {_number(figures['inversion_psnr_db'], '.1f')} dB"),
        ("model", f"{figures['model']} {str(figures['model_digest'])[:12]}"),
    ]


def _search(figures: JSON) -> str:
    """How the picture's code was come by."""
    if figures["inversion_reused"]:
        return "found by an earlier job, and taken over"
    return f"{figures['inversion_steps']} steps in {_number(figures['inversion_seconds'], '.1f')} s"


def _number(value: object, form: str) -> str:
    return format(value, form) if isinstance(value, int | float) else "–"


def _flat(result: JSON) -> JSON:
    """A result with its metrics beside the other figures; the only item of a list stands for itself."""
    merged = {**result, **(result.get("metrics") or {})}
    return {name: value[0] if isinstance(value, list) and value else value for name, value in merged.items()}


def _replace(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(data)
    draft.replace(path)
