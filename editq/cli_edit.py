"""`editq edit`: from a picture and a wish to the edited picture, in one line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from editq.cli_service import Desk, works_at_service
from editq.mask_options import check_parts, operations_of, takes_operations
from editq.picture_files import OUT, format_of, place_for, write_picture, write_whole
from editq.start_points import MODEL, PICTURE, box_of, inverted, one_start, takes_search
from editq.terminal_pictures import show_picture
from editq.work import checked, do

JSON = dict[str, Any]
_FIGURES = (
    *("iou_before", "iou_after", "judge_iou_before", "judge_iou_after"),
    *("psnr_outside_db", "lpips_outside", "steps", "seconds"),
)


@click.command()
@click.argument("picture", type=PICTURE, required=False)
@takes_operations
@click.option("--mask", type=PICTURE, help="The mask wanted: an indexed PNG of part ids. In place of these.")
@click.option("--inversion", metavar="JOB", help="Start from the code that an earlier job left.")
@MODEL
@takes_search
@click.option("--steps", type=click.IntRange(1, 5000), default=100, show_default=True, help="To edit.")
@click.option("--paste", is_flag=True, help="Write the full-resolution original with the edit pasted in.")
@click.option("-o", "--out", type=OUT, help="By default PICTURE's name and -edited.png.")
@click.option("--mask-out", type=OUT, help="Write the mask of the edited picture there.")
@click.option("--vector-out", type=OUT, help="Write the editing vector there (safetensors).")
@click.option("--show", is_flag=True, help="Show the pictures in the terminal, where it can.")
@works_at_service
def edit(
    desk: Desk,
    picture: Path | None,
    model: str,
    inversion: str | None,
    mask: Path | None,
    steps: int,
    paste: bool,
    out: Path | None,
    mask_out: Path | None,
    vector_out: Path | None,
    show: bool,
    **asked: Any,
) -> None:
    """Edit PICTURE by its parts.

    \b
    editq edit car.jpg --grow wheel=25% -o out.png

    \b
    Parts are those of the model (`editq models show cars`). wheel:left is one piece of a part.
    Several operations are done in this order: remove, scale, grow, shrink, shift, --operations.
    Lengths are pixels of the model's picture.

    The picture's code is found first (or taken over where it was found before), then the edit. Ctrl-C
    cancels what runs. Prints what was measured: how well the parts match the mask wanted, and how much
    changed elsewhere.
    """
    one_start(picture, inversion)
    operations = operations_of(asked)
    if (mask is None) == (not operations):
        raise click.UsageError("say what to change by --grow and the like, or by --mask: one of both")
    box_of(asked["box"])
    places = {
        "picture": place_for(out, f"{picture.stem if picture else inversion}-edited.png"),
        **({"mask": place_for(mask_out, "")} if mask_out else {}),
        **({"vector": vector_out} if vector_out else {}),
    }
    if mask_out and format_of(mask_out) != "PNG":
        raise click.UsageError(f"{mask_out}: a mask is a .png file")
    check_parts(operations, desk.client.model(model))
    wanted: JSON = {"mask_operations": operations}
    if mask:
        wanted = {"mask": desk.client.upload_image(mask, role="mask")["id"]}
    spec: JSON = {"kind": "edit", "model": model, "steps": steps, **wanted} | ({"photo": {}} if paste else {})
    checked(spec | {"inversion": "0" * 32})  # what is wrong is said before anything is uploaded
    if picture is not None:
        inversion = inverted(desk, model, picture, asked)["id"]
    job = do(desk, "editing", spec | {"inversion": inversion})
    _leave(desk, job, places, "pasted.png" if paste else "edited.png", show=show)


def _leave(desk: Desk, job: JSON, places: Mapping[str, Path], picture: str, *, show: bool) -> None:
    """Write what was asked for, and say what was measured."""
    outputs = {"picture": picture, "mask": "edited_mask.png", "vector": "delta_w.safetensors"}
    for what, path in places.items():
        data = desk.client.output(job["id"], outputs[what])
        (write_picture if what == "picture" else write_whole)(path, data)
    measured = {name: job["result"][name] for name in _FIGURES if name in job["result"]}
    told = {"files": {what: str(path) for what, path in places.items()}, "measured": measured, "job": job}
    if show and not desk.as_json:
        for name in ("inverted.png", "edited.png"):
            show_picture(desk.console, desk.client.output(job["id"], name))
    lines = [escape("\n".join(map(str, places.values()))), *_words(job["result"])]
    desk.show(told, "\n".join(lines))


def _words(result: Mapping[str, Any]) -> list[str]:
    parts = ", ".join(result["q_edit"])
    seen = (result["iou_before"], result["iou_after"])
    lines = [f"{parts}: matches the mask wanted {seen[0]:.2f} before, {seen[1]:.2f} after (IoU, segmenter)"]
    if result.get("judge_iou_after") is not None:
        judged = (result["judge_iou_before"], result["judge_iou_after"])
        lines.append(f"the same by an independent judge: {judged[0]:.2f} before, {judged[1]:.2f} after")
    kept = result.get("psnr_outside_db")
    rest = "no change was measured" if kept is None else f"as it was to {kept:.1f} dB (PSNR)"
    lines.append(f"elsewhere {rest}")
    return lines
