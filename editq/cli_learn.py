"""`editq learn`: an edit learned once, for any picture."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from editq.cli_service import Desk, works_at_service
from editq.mask_options import check_parts, operations_of, takes_operations
from editq.start_points import MODEL, PICTURE, box_of, inverted, one_start, takes_search
from editq.terminal_pictures import show_picture
from editq.work import checked, do

JSON = dict[str, Any]


@click.command()
@click.argument("picture", type=PICTURE, required=False)
@click.option("--name", required=True, help="The new vector's name.")
@takes_operations
@click.option("--mask", type=PICTURE, help="The mask wanted: an indexed PNG of part ids. In place of these.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="In place of PICTURE: a sample.")
@click.option("--inversion", metavar="JOB", help="In place of PICTURE: the code that a job left.")
@MODEL
@takes_search
@click.option("--steps", type=click.IntRange(1, 5000), default=100, show_default=True, help="To learn it.")
@click.option(
    "--samples",
    type=click.IntRange(0, 15),
    default=0,
    show_default=True,
    help="Samples that it is learned on as well: it then carries over better.",
)
@click.option(
    "--transfer-samples",
    type=click.IntRange(0, 128),
    default=32,
    show_default=True,
    help="Samples that the report is measured on; 0: no report.",
)
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="May be given several times.")
@click.option("--show", is_flag=True, help="Show before and after in the terminal, where it can.")
@works_at_service
def learn(
    desk: Desk, picture: Path | None, name: str, mask: Path | None, seed: int | None, inversion: str | None,
    model: str, tags: tuple[str, ...], show: bool, **asked: Any,
) -> None:  # fmt: skip
    """Learn an editing vector, for any picture.

    \b
    editq learn car.jpg --name "large wheels" --grow wheel=40%

    Parts and operations are given as for `editq edit`. The vector is kept in the library, and its report says
    in words how it carries over to other pictures. Prints its id.
    """
    one_start(picture, inversion, seed)
    operations = operations_of(asked)
    if (mask is None) == (not operations):
        raise click.UsageError("say what to change by --grow and the like, or by --mask: one of both")
    box_of(asked["box"])
    target: JSON = {"name": name, "tags": list(tags)}
    counts = {member: asked[member] for member in ("steps", "samples", "transfer_samples")}
    spec: JSON = {"kind": "learn_vector", "model": model, **counts}
    checked(spec | {"seed": 0, "targets": [target | {"mask": "0" * 32}]})
    check_parts(operations, desk.client.model(model))
    wanted: JSON = {"mask_operations": operations}
    if mask is not None:
        wanted = {"mask": desk.client.upload_image(mask, role="mask")["id"]}
    start: JSON = {"seed": seed} if seed is not None else {"inversion": inversion}
    if picture is not None:
        start = {"inversion": inverted(desk, model, picture, asked)["id"]}
    job = do(desk, "learning", spec | start | {"targets": [target | wanted]})
    (made,) = job["result"]["vectors"]
    vector = desk.client.get_vector(made["id"])
    if show and not desk.as_json:
        for moment in ("before", "after"):
            show_picture(desk.console, desk.client.vector_file(vector["id"], moment))
    lines = [vector["id"], f"{vector['name']} ({vector['editing_type']})", *report_words(vector["report"])]
    desk.show({"vector": vector, "job": job}, escape("\n".join(lines)))


def report_words(report: Mapping[str, Any]) -> Iterator[str]:
    """A transfer report as sentences."""
    if not report:
        yield "It was not measured on other pictures."
        return
    full = next((row for row in report["strengths"] if row["strength"] == 1), None)
    measure = report["measure"]
    if full is not None and measure is not None and full["change"] is not None:
        yield (
            f"At a strength of 1, {measure['kind']} of {measure['name']} is {_percent(full['change'])} on "
            f"other pictures (median of {full['measured']} samples, by the {report['by']}; for eight in ten "
            f"{_percent(full['change_p10'])} to {_percent(full['change_p90'])})."
        )
    if full is not None and full["psnr_outside_db"] is not None:
        yield f"Elsewhere they stay as they were to {full['psnr_outside_db']:.1f} dB (PSNR)."
    if report["recommended"] is not None:
        low, high = report["recommended"]
        yield f"Strengths from {low:g} to {high:g} are recommended."
    else:
        yield "No strength is recommended: it does not carry over well."
    gain_db = report["refinement"]["gain_db"]
    if report["refinement_advised"] and gain_db is not None:
        steps = report["refinement"]["steps"]
        yield f"Refinement is advised: {steps} steps won {gain_db:.1f} dB elsewhere (apply --refine {steps})."


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:+.0f} %"
