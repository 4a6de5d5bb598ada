"""`editq batch submit`: a folder, a manifest, tars, a bucket or seeds under one spec."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import click
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from editq.batch_asked import (
    MANIFESTS,
    check,
    factors,
    kind_of_paths,
    output_place,
    seeds,
    spec_of,
)
from editq.cli_files import upload_all
from editq.cli_service import Desk, asks_service
from editq.cli_training import takes_options
from editq.client_folder import Sent
from editq.folder_pictures import Folder, fitted_names, look_through
from editq.live_batch import outcome, watch
from editq.tables import estimated
from storage.dataset_specs import Format
from storage.records import Priority

JSON = dict[str, Any]
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
EXITS = "\b\nExit status: 0 succeeded, 1 failed or canceled, 3 completed with errors."
_OPTIONS = (
    click.option("--apply", multiple=True, metavar="VECTOR[=STRENGTH]", help="A vector by name or id, at a "
                 "strength (0.5) or an amount (+25%); may be given several times."),
    click.option("--sweep", metavar="FACTORS", help="With --apply: factors on all strengths, as -1,0,0.5,1."),
    click.option("--refine", type=click.IntRange(1), metavar="N", help="With --apply: steps of refinement."),
    click.option("--mode", type=click.Choice(["auto", "vector", "refinement", "optimisation"]),
                 help="With --apply: how."),
    click.option("--edit", type=FILE, metavar="OPS.json", help="Edit by these mask operations."),
    click.option("--invert", is_flag=True, help="Find the codes of the pictures."),
    click.option("--spec", "spec_file", type=FILE, metavar="FILE.json",
                 help="A job's whole spec, without its picture."),
    click.option("--model", help="By default cars."),
    click.option("--prefix", metavar="P", help="All pictures whose keys in the bucket begin so."),
    click.option("--bucket", metavar="B", help="Where --prefix, or a manifest's keys, are looked for."),
    click.option("--seeds", metavar="FIRST:COUNT", help="Samples of the model."),
    click.option("--names", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
                 help="Write here which pictures of a folder go by other ids than their paths."),
    click.option("--on-invalid", type=click.Choice(["skip", "stop"]), default="skip", show_default=True,
                 help="Inputs that are not as they should be: leave them out, or begin nothing."),
    click.option("--dry-run", is_flag=True, help="Read the inputs, count, estimate, and end."),
    click.option("--priority", type=click.Choice([each.value for each in Priority]), default="bulk",
                 show_default=True, help="Its class."),
    click.option("--output", metavar="BUCKET/PREFIX", help="Write results there too."),
    click.option("--dataset", metavar="FORMATS", help=f"Write what succeeds as a data set, too: "
                 f"{', '.join(get_args(Format))}, with commas between."),
    click.option("--wait", is_flag=True, help="Wait until it has ended."),
    click.option("--watch", "watched", is_flag=True, help="The same, and show how it goes on."),
)  # fmt: skip


def _asks(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(epilog=EXITS)
@click.argument(
    "paths", type=click.Path(path_type=Path, exists=True), nargs=-1, metavar="[FOLDER|MANIFEST|TAR...]"
)
@_asks
@takes_options
@asks_service
def submit(desk: Desk, paths: tuple[Path, ...], **asked: Any) -> None:
    """Do one thing to many pictures, and print the batch's id.

    Inputs are the pictures below a FOLDER, what a MANIFEST (.jsonl or .csv) lists, those in TAR files, those
    of a bucket, or samples. What was uploaded before is not sent again: after an interruption, give the same
    command once more.
    """
    members = _members(desk, paths, asked)
    check(members)
    desk.client.model(members["spec"].get("model", "cars"))
    members["inputs"] = members["inputs"] or _uploaded(desk, paths, asked)
    batch = desk.client.submit_batch(**members)
    if not (asked["wait"] or asked["watched"] or asked["dry_run"]):
        desk.show(batch, batch["id"])
        return
    if not desk.as_json:
        click.echo(batch["id"])
    raise SystemExit(exit_status(_awaited(desk, batch["id"], live=asked["watched"])))


def _members(desk: Desk, paths: Sequence[Path], asked: dict[str, Any]) -> JSON:
    """All that Client.submit_batch takes; inputs None where they are still to be uploaded."""
    ways = [name for name in ("prefix", "seeds") if asked[name] is not None] + (["paths"] if paths else [])
    if len(ways) != 1 and not (asked["bucket"] and not ways):
        raise click.UsageError("say what the inputs are by one of FOLDER|MANIFEST|TAR..., --prefix, --seeds")
    inputs: JSON | None = None
    if paths:
        kind = kind_of_paths(paths)
        if asked["bucket"] and kind != "manifest":
            raise click.UsageError(f"--bucket goes with --prefix or a manifest, not with a {kind}")
    elif asked["seeds"] is not None:
        if asked["bucket"]:
            raise click.UsageError("--bucket goes with --prefix or a manifest, not with --seeds")
        inputs = seeds(asked["seeds"])
    else:
        inputs = {"type": "prefix", "prefix": asked["prefix"] or "", "bucket": asked["bucket"]}
    sweep = asked["sweep"] and factors(asked["sweep"])
    return {
        "spec": spec_of(desk.client, {**asked, "sweep": sweep}),
        "inputs": inputs,
        "on_invalid": asked["on_invalid"],
        "dry_run": asked["dry_run"],
        "output": output_place(asked["output"]) if asked["output"] else None,
        "dataset": {"formats": asked["dataset"].split(",")} if asked["dataset"] else None,
        "options": {"priority": asked["priority"]},
    }


def _uploaded(desk: Desk, paths: Sequence[Path], asked: dict[str, Any]) -> JSON:
    match kind_of_paths(paths):
        case "folder":
            return _folder(desk, paths[0], asked["names"])
        case "manifest":
            (file,) = upload_all(desk.client, desk.console, tuple(paths))
            form = MANIFESTS[paths[0].suffix.lower()]
            return {"type": "manifest", "file": file["id"], "format": form, "bucket": asked["bucket"]}
        case _:
            kept = upload_all(desk.client, desk.console, tuple(paths))
            return {"type": "tar", "files": [file["id"] for file in kept]}


def _folder(desk: Desk, path: Path, names: Path | None) -> JSON:
    found = look_through(path)
    for line in left_aside(found):
        click.echo(line, err=True)
    if found.renamed:
        where = f"see {names}" if names else "--names FILE lists them"
        click.echo(f"pictures whose ids are not their paths: {found.renamed} ({where})", err=True)
    if names is not None:
        with names.open("w") as file:
            for name, was in fitted_names(path):
                file.write(json.dumps({"id": name, "path": was}) + "\n")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(
        *columns, console=desk.console, transient=True, disable=not desk.console.is_terminal
    ) as bars:
        bar = bars.add_task(escape(path.name), total=None, note="")

        def told(sent: Sent) -> None:
            note = f"{sent.present_bytes / 1e6:.0f} MB were there" if sent.present_bytes else ""
            done = sent.sent_bytes + sent.present_bytes
            bars.update(bar, completed=done, total=max(done, sent.total_bytes), note=note)

        return desk.client.upload_folder(path, progress=told)


def left_aside(found: Folder) -> list[str]:
    """What of a folder is not sent, in words."""
    return [
        f"left aside: {count} {reason}, such as {found.examples[reason][0]}".encode(errors="replace").decode()
        for reason, count in found.left_aside.items()
    ]


def _awaited(desk: Desk, batch_id: str, *, live: bool) -> JSON:
    """The batch once it has ended, told of as it was asked for."""
    if live and not desk.as_json:
        batch = watch(desk.console, desk.client.watch_batch(batch_id))
        batch = desk.client.batch(batch_id)
    else:
        batch = desk.client.wait_batch(batch_id)
        desk.show(batch, escape(outcome(batch)))
    if batch["spec"]["dry_run"] and not desk.as_json:
        counts, estimate = batch["counts"], batch["result"].get("estimate")
        click.echo(f"{counts['items']} items, {counts['invalid']} inputs refused")
        click.echo(estimated(estimate) if estimate else "no estimate: nothing like it was measured yet")
    return batch


def exit_status(batch: JSON) -> int:
    return {"succeeded": 0, "completed_with_errors": 3}.get(batch["status"], 1)
