"""`editq files`: uploads that are neither pictures nor masks."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from editq.cli_service import Desk, asks_service
from editq.client import Client
from editq.tables import files_table

JSON = dict[str, Any]


@click.group()
def files() -> None:
    """Upload files that are no pictures: manifests, shards, checkpoints."""


@files.command()
@click.argument(
    "paths",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    nargs=-1,
    required=True,
    metavar="FILE...",
)
@asks_service
def upload(desk: Desk, paths: tuple[Path, ...]) -> None:
    """Upload files, and print their ids.

    What the service has already is not sent again.
    """
    kept = upload_all(desk.client, desk.console, paths)
    desk.show(kept, "\n".join(file["id"] for file in kept))


@files.command("list")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@asks_service
def list_files(desk: Desk, limit: int) -> None:
    """List files, newest first."""
    found = list(desk.client.list_files(limit=limit))
    desk.show(found, files_table(found) if found else "No files.")


@files.command()
@click.argument("file_id", metavar="FILE")
@asks_service
def delete(desk: Desk, file_id: str) -> None:
    """Delete a file.

    Refused while a job that has not ended names it.
    """
    desk.client.delete_file(file_id)
    desk.show({"id": file_id, "deleted": True}, "deleted")


def upload_all(client: Client, console: Console, paths: tuple[Path, ...]) -> list[JSON]:
    """Their records, in order. On a terminal a bar for each shows how far it is."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        return [_upload(client, bars, path) for path in paths]


def _upload(client: Client, bars: Progress, path: Path) -> JSON:
    bar = bars.add_task(escape(path.name), total=path.stat().st_size)
    kept = client.upload_file(path, told=lambda sent, _total: bars.update(bar, completed=sent))
    bars.remove_task(bar)
    return kept
