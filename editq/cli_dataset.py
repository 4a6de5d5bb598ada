"""`editq dataset`: a labelled data set drawn by the service, and fetched into a folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import click
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from editq.cli_service import Desk, works_at_service
from editq.shards import unpack as unpack_shard
from editq.start_points import MODEL
from editq.vector_use import numbers, vector_id
from editq.work import checked, do
from storage.dataset_specs import Format

JSON = dict[str, Any]
_FOLDER = click.Path(path_type=Path, file_okay=False)
_UNPACKED = ("pairs-", "coco-")  # WebDataset's shards are read as they are


@click.command()
@click.option("--to", "folder", type=_FOLDER, required=True, help="A new, or empty, folder for it.")
@MODEL
@click.option("--count", type=click.IntRange(1), default=1000, show_default=True, help="How many to draw.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of the first.")
@click.option("--psi", type=click.FloatRange(0, 1), default=0.7, show_default=True, help="Truncation.")
@click.option(
    "--vector",
    "vectors",
    multiple=True,
    metavar="VECTOR=LOW,HIGH",
    help="Put this on each, at a strength drawn between these; may be given several times.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(get_args(Format)),
    multiple=True,
    default=("pairs",),
    show_default=True,
    help="May be given several times.",
)
@click.option("--split", metavar="TRAIN,VAL,TEST", help="Shares, as 0.8,0.1,0.1 (the default).")
@click.option("--balance", metavar="PART,...|strength", help="What is to come equally often.")
@click.option(
    "--reject",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Leave out this share: those that the segmenter is least sure of.",
)
@click.option("--unpack", is_flag=True, help="Unpack the shards of pairs and COCO, and remove them.")
@works_at_service
def dataset(desk: Desk, folder: Path, unpack: bool, **asked: Any) -> None:
    """Draw a labelled data set, and fetch it.

    \b
    editq dataset --to cars-data --count 60 --unpack

    The files are those that docs/datasets.md describes, checked by their digests as they come.
    """
    if folder.exists() and any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty")
    spec = _spec(asked)
    ranges = [_range(text) for text in asked["vectors"]]
    unnamed = [{"vector": f"{index:032x}", "strength": each} for index, (_, each) in enumerate(ranges)]
    checked(spec | {"vectors": unnamed})  # before anything is asked of the service
    spec["vectors"] = [
        {"vector": vector_id(desk.client, name, asked["model"]), "strength": strength}
        for name, strength in ranges
    ]
    job = do(desk, f"drawing {asked['count']}", spec)
    folder.mkdir(parents=True, exist_ok=True)
    files = fetch(desk, job, folder)
    count = 0
    if unpack:
        for name in [name for name in files if name.endswith(".tar") and name.startswith(_UNPACKED)]:
            count += unpack_shard(folder / name, folder)
            (folder / name).unlink()
            files.remove(name)
    told = {"folder": str(folder), "files": files, "unpacked": count, "job": job}
    result = {name: value for name, value in job["result"].items() if name != "steps"}
    counts = ", ".join(f"{name} {value}" for name, value in result.items() if isinstance(value, int))
    more = f", {count} files unpacked" if unpack else ""
    desk.show(told, escape(f"{folder}: {len(files)} files{more}\n{counts}"))


def fetch(desk: Desk, job: JSON, folder: Path) -> list[str]:
    """Write a job's outputs into a folder, as they come; their names."""
    total = sum(output["byte_size"] for output in job["outputs"].values())
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    shown = desk.progress.is_terminal
    with Progress(*columns, console=desk.progress, transient=True, disable=not shown) as bars:
        bar = bars.add_task("fetching", total=total)
        for name in job["outputs"]:
            desk.client.save_output(job, name, folder / name, told=lambda came: bars.advance(bar, came))
            desk.tick()
    return list(job["outputs"])


def _spec(asked: Mapping[str, Any]) -> JSON:
    """All but the vectors. Raises click.UsageError."""
    spec: JSON = {
        "kind": "generate_dataset",
        "model": asked["model"],
        "count": asked["count"],
        "seed": asked["seed"],
        "truncation_psi": asked["psi"],
        "formats": list(dict.fromkeys(asked["formats"])),
    }
    if asked["split"] is not None:
        shares = numbers("--split", asked["split"])
        if len(shares) != 3:
            raise click.UsageError(f"--split {asked['split']}: give three shares, as in 0.8,0.1,0.1")
        spec["split"] = dict(zip(("train", "val", "test"), shares, strict=True))
    if asked["balance"] == "strength":
        spec["balance"] = {"by": "strength"}
    elif asked["balance"] is not None:
        spec["balance"] = {"by": "parts", "parts": asked["balance"].split(",")}
    return spec | ({"reject_fraction": asked["reject"]} if asked["reject"] is not None else {})


def _range(text: str) -> tuple[str, list[float]]:
    """A vector's name, and its lowest and highest strength. Raises click.UsageError."""
    name, _, ends = text.rpartition("=")
    strengths = numbers("--vector", ends) if name else []
    if len(strengths) != 2:
        raise click.UsageError(f"--vector {text}: give VECTOR=LOW,HIGH, as in 'larger wheels=-0.5,1'")
    return name, strengths
