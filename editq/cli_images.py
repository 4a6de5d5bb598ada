"""`editq images`: uploaded pictures and masks."""

from pathlib import Path
from typing import Literal

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from editq.cli_service import Desk, asks_service
from editq.tables import images_table


@click.group()
def images() -> None:
    """Upload pictures and masks, list them, delete them."""


@images.command()
@click.argument(
    "paths",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    nargs=-1,
    required=True,
    metavar="FILE...",
)
@click.option("--mask", is_flag=True, help="They are masks: indexed or grey PNGs of part ids.")
@asks_service
def upload(desk: Desk, paths: tuple[Path, ...], mask: bool) -> None:
    """Upload pictures, and print their ids."""
    role: Literal["picture", "mask"] = "mask" if mask else "picture"
    columns = (
        TextColumn("uploading"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    shown = desk.progress.is_terminal
    with Progress(*columns, console=desk.progress, transient=True, disable=not shown) as bars:
        kept = [desk.client.upload_image(path, role=role) for path in bars.track(paths)]
    desk.show({"items": kept}, "\n".join(image["id"] for image in kept))


@images.command("list")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@asks_service
def list_images(desk: Desk, limit: int) -> None:
    """List images, newest first."""
    found = list(desk.client.list_images(limit=limit))
    desk.show({"items": found}, images_table(found) if found else "No images.")


@images.command()
@click.argument("image_id", metavar="IMAGE")
@asks_service
def delete(desk: Desk, image_id: str) -> None:
    """Delete an image.

    Refused while a job that has not ended needs it.
    """
    desk.client.delete_image(image_id)
    desk.show({"id": image_id, "deleted": True}, "deleted")
