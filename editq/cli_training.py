"""`editq models train-generator` and what follows it: from a folder of pictures to a model that edits."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from editq.annotation_folder import key_of, pictures_in, read_listing, with_palette, write_listing
from editq.cli_service import Desk, asks_service
from editq.live import watch
from storage.specs import JOB_SPEC

JSON = dict[str, Any]
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


def _options(_context: click.Context, _parameter: click.Parameter, pairs: tuple[str, ...]) -> JSON:
    found: JSON = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair}: give NAME=VALUE")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def takes_options(command: Callable[..., None]) -> Callable[..., None]:
    """Any other member of the spec, as the API's pages list them."""
    option = click.option(
        "-o",
        "--option",
        "options",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_options,
        help="Any other member of the job's spec, as kimg=1000; may be given again.",
    )
    return option(command)


@click.command("train-generator")
@click.argument("folder", type=FOLDER)
@click.option("--name", required=True, help="The new model's name.")
@takes_options
@asks_service
def train_generator(desk: Desk, folder: Path, name: str, options: JSON) -> None:
    """Learn to draw pictures like those of a FOLDER, from nothing.

    Takes hours to days; it may be watched, stopped, and goes on after a restart of the service.
    """
    found = len(pictures_in(folder))
    if found < 2:
        raise click.ClickException(f"{folder} holds {found} pictures")
    images = _uploaded(desk, folder)
    run_job(desk, {"kind": "train_generator", "name": name, "images": images, **options})


@click.command("suggest-annotations")
@click.argument("model")
@click.option("--to", required=True, type=click.Path(path_type=Path), help="A new folder for the pictures.")
@click.option("--parts", help="Names of the parts to paint, from the background on, with commas between.")
@takes_options
@asks_service
def suggest_annotations(desk: Desk, model: str, to: Path, parts: str | None, options: JSON) -> None:
    """Put the samples that are worth annotating into a folder, with masks to paint over.

    A mask begins as what MODEL's segmenter says, or blank where it has none yet.
    """
    names = parts.split(",") if parts else [part["name"] for part in desk.client.model(model)["parts"]]
    if len(names) < 2:
        raise click.ClickException(f"{model} has no parts yet: name them with --parts background,body,wheel")
    to.mkdir(parents=True, exist_ok=False)
    job = run_job(desk, {"kind": "suggest_annotations", "model": model, **options})
    known = [part["name"] for part in desk.client.model(model)["parts"]] == names
    rows = []
    for index, suggestion in enumerate(job["result"]["suggestions"]):
        picture, mask = f"picture_{index:03d}.png", f"mask_{index:03d}.png"
        (to / picture).write_bytes(desk.client.output(job["id"], picture))
        found = desk.client.output(job["id"], mask)
        (to / mask).write_bytes(with_palette(found, names, blank=not known))
        about = {"seed": suggestion["seed"], "truncation_psi": job["result"]["truncation_psi"]}
        rows.append({"picture": picture, "mask": mask, **about})
    (to / "key.png").write_bytes(key_of(names))
    write_listing(to, model, names, rows)
    click.echo(f"{len(rows)} pictures in {to}: paint their masks in the colours of key.png", err=desk.as_json)


@click.command("train-segmenter")
@click.argument("folder", type=FOLDER)
@click.option("--name", required=True, help="The model that is left; may be the one it was, to replace it.")
@click.option("--model", help="The model to annotate; by default the one that annotations.json names.")
@takes_options
@asks_service
def train_segmenter(desk: Desk, folder: Path, name: str, model: str | None, options: JSON) -> None:
    """Learn a model's parts from the annotated pictures of a FOLDER.

    It holds what suggest-annotations wrote, or photographs NAME.png beside masks NAME.mask.png, or both. A
    mask that nobody painted is left out.
    """
    listing, pairs = read_listing(folder)
    try:
        masks = [(pair, pair.painted(listing.get("parts", []))) for pair in pairs]
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    painted = [(pair, mask) for pair, mask in masks if mask is not None]
    if len(painted) < 2:
        raise click.ClickException(f"{folder} holds {len(painted)} painted masks of {len(pairs)}")
    shown: list[JSON] = []
    for pair, data in painted:
        mask = desk.client.upload_image(data, role="mask", filename=pair.mask.name)["id"]
        if pair.seed is None:
            shown.append({"image": desk.client.upload_image(pair.picture)["id"], "mask": mask})
        else:
            shown.append({"seed": pair.seed, "truncation_psi": pair.truncation_psi, "mask": mask})
    spec: JSON = {"kind": "train_segmenter", "name": name, "annotations": shown}
    spec["model"] = model or listing.get("model") or "cars"
    if listing.get("parts"):
        spec["parts"] = listing["parts"]
    run_job(desk, spec | options)


@click.command("train-encoder")
@click.argument("model")
@click.option("--pictures", type=FOLDER, help="Pictures to learn from beside the model's own samples.")
@click.option("--name", help="The model that is left; by default MODEL, replaced.")
@takes_options
@asks_service
def train_encoder(desk: Desk, model: str, pictures: Path | None, name: str | None, options: JSON) -> None:
    """Learn to guess the codes of pictures, so that MODEL's inversions start close to their end."""
    images = _uploaded(desk, pictures)
    run_job(desk, {"kind": "train_encoder", "model": model, "name": name, "images": images, **options})


@click.command()
@click.argument("model")
@click.option("--pictures", type=FOLDER, help="Pictures to compare with, for FID and KID.")
@takes_options
@asks_service
def evaluate(desk: Desk, model: str, pictures: Path | None, options: JSON) -> None:
    """Measure a model's samples: FID and KID to a folder of pictures, attributes, identity."""
    images = _uploaded(desk, pictures)
    run_job(desk, {"kind": "evaluate", "model": model, "images": images, **options})


def _uploaded(desk: Desk, folder: Path | None) -> list[str]:
    """The ids of a folder's pictures, uploaded; none of no folder."""
    paths = pictures_in(folder) if folder else []
    return [desk.client.upload_image(path)["id"] for path in paths]


def run_job(desk: Desk, members: JSON) -> JSON:
    """Submit a job and watch it to its end. Ends the command with status 1 where it did not succeed."""
    try:
        spec = JOB_SPEC.validate_python(members)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"][1:]))
        raise click.ClickException(f"{place}: {first['msg']}") from None
    job: JSON = desk.client.submit(spec)
    updates = desk.client.follow(job["id"])
    if desk.as_json:
        job = list(updates)[-1]
        click.echo(json.dumps(job, indent=2))
    else:
        job = watch(desk.console, f"{spec.kind} {job['id']}", updates, tick=lambda: None)
        if job["status"] == "succeeded":
            click.echo(json.dumps(_short(job["result"]), indent=2))
    if job["status"] != "succeeded":
        why = job["error"] or {}
        raise click.ClickException(f"{job['status']}: {why.get('code')}: {why.get('detail')}")
    return job


def _short(result: JSON) -> JSON:
    return {name: value for name, value in result.items() if not isinstance(value, list)}


COMMANDS = (train_generator, suggest_annotations, train_segmenter, train_encoder, evaluate)
