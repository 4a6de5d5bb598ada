"""`editq batch`: many inputs under one spec."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

from editq.batch_errors import wrong_of
from editq.cli_batch_submit import EXITS, exit_status, submit
from editq.cli_service import Desk, asks_service
from editq.live_batch import outcome
from editq.live_batch import watch as show_live
from editq.tables import batch_table, batches_table, wrong_table
from storage.batch_records import BatchStatus
from storage.errors import NotFound
from storage.records import Priority

JSON = dict[str, Any]
batch_id = click.argument("batch_id", metavar="BATCH")


@click.group()
def batch() -> None:
    """Batches: one edit for thousands of pictures."""


batch.add_command(submit)


@batch.command("list")
@click.option("--status", type=click.Choice([status.value for status in BatchStatus]), help="Only these.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@asks_service
def list_batches(desk: Desk, status: str | None, limit: int) -> None:
    """List batches, newest first."""
    found = list(desk.client.list_batches(status=status, limit=limit))
    desk.show(found, batches_table(found) if found else "No batches.")


@batch.command()
@batch_id
@asks_service
def show(desk: Desk, batch_id: str) -> None:
    """Show a batch: what was asked, how far it is, who works on it."""
    found = desk.client.batch(batch_id)
    desk.show(found, batch_table(found))


@batch.command(epilog=EXITS)
@batch_id
@asks_service
def watch(desk: Desk, batch_id: str) -> None:
    """Follow a batch until it has ended.

    Ctrl-C ends the watching, not the batch. With --json, one line for each change.
    """
    updates = desk.client.watch_batch(batch_id)
    if desk.as_json:
        found: JSON = {}
        for found in updates:
            click.echo(json.dumps(found))
    else:
        found = show_live(desk.console, updates)
    raise SystemExit(exit_status(found))


@batch.command()
@batch_id
@asks_service
def pause(desk: Desk, batch_id: str) -> None:
    """Begin no further chunk.

    Those that run give way at their next checkpoint; nothing is lost.
    """
    found = desk.client.pause_batch(batch_id)
    desk.show(found, "paused")


@batch.command()
@batch_id
@asks_service
def resume(desk: Desk, batch_id: str) -> None:
    """Go on after a pause."""
    desk.show(desk.client.resume_batch(batch_id), "goes on")


@batch.command()
@batch_id
@asks_service
def cancel(desk: Desk, batch_id: str) -> None:
    """Cancel a batch.

    What waits is canceled at once, what runs within a step. What was done can still be fetched.
    """
    desk.show(desk.client.cancel_batch(batch_id), "asked to cancel: what was done can still be fetched")


@batch.command()
@batch_id
@asks_service
def retry(desk: Desk, batch_id: str) -> None:
    """Do what did not succeed again, as a new batch.

    Prints the id of the new one.
    """
    found = desk.client.retry_batch(batch_id)
    desk.show(found, found["id"])


@batch.command()
@batch_id
@click.argument("priority", type=click.Choice([priority.value for priority in Priority]))
@asks_service
def priority(desk: Desk, batch_id: str, priority: str) -> None:
    """Move what is left of a batch to another class.

    Interactive comes before standard, and standard before bulk.
    """
    found = desk.client.prioritise_batch(batch_id, priority)
    desk.show(found, escape(f"{found['priority']}; {outcome(found)}"))


@batch.command()
@batch_id
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the errors manifest here: a list of the items that did not succeed, to be sent again.",
)
@asks_service
def errors(desk: Desk, batch_id: str, output: Path | None) -> None:
    """Say what went wrong, by error code.

    Items that failed, and inputs that were refused, with examples of each.
    """
    if output is not None:
        with _named_troubles():
            desk.client.download_batch_file(batch_id, "errors", output)
        desk.show({"path": str(output)}, escape(str(output)))
        return
    found = desk.client.batch(batch_id)
    wrongs = wrong_of(desk.client, found)
    desk.show([wrong.as_json() for wrong in wrongs], wrong_table(wrongs) if wrongs else "Nothing went wrong.")


@batch.command()
@batch_id
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE.zip|FILE.tar|FOLDER",
    help="A new file, or a new folder for the files of all items.",
)
@asks_service
def results(desk: Desk, batch_id: str, output: Path) -> None:
    """Fetch all results of a batch that has ended.

    As ID/NAME for each file of each item, beside results.jsonl, errors.jsonl and invalid.jsonl. Whole or not
    at all: what was cut off leaves nothing behind.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    hidden = not desk.console.is_terminal
    with _named_troubles(), Progress(*columns, console=desk.console, transient=True, disable=hidden) as bars:
        bar = bars.add_task("results", total=None)
        told = lambda came: bars.update(bar, completed=came)  # noqa: E731
        match output.suffix.lower():
            case ".zip":
                desk.client.download_batch(batch_id, output, "zip", told=told)
            case ".tar":
                desk.client.download_batch(batch_id, output, "tar", told=told)
            case _:
                desk.client.unpack_batch(batch_id, output, told=told)
    desk.show({"path": str(output)}, escape(str(output)))


@batch.command()
@batch_id
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="FOLDER",
    help="A folder for the files; those that it has already are not fetched again.",
)
@asks_service
def dataset(desk: Desk, batch_id: str, output: Path) -> None:
    """Fetch the data set that a batch has written.

    It was asked for by submit --dataset. Unpack its tars in one folder.
    """
    with _named_troubles():
        paths = [str(path) for path in desk.client.download_dataset(batch_id, output)]
    desk.show(paths, escape("\n".join(paths)))


@contextlib.contextmanager
def _named_troubles() -> Iterator[None]:
    """A full disk, and a list that there is not (yet), are said in a line."""
    try:
        yield
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'output'}: {error.strerror}") from None
    except NotFound as error:
        raise click.ClickException(f"{error.detail} There is: {error.expected or 'nothing'}.") from None
