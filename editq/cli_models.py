"""`editq models`: trainings and imports are jobs of the service; a conversion into a folder is done here."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.markup import escape

from editq.cli_files import upload_all
from editq.cli_service import Desk, asks_service
from editq.cli_training import COMMANDS, run_job, takes_options
from editq.tables import model_table, models_table

JSON = dict[str, Any]
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def models() -> None:
    """Models: import the checkpoints that you have, or train your own."""


for command in COMMANDS:
    models.add_command(command)


@models.command("list")
@asks_service
def list_models(desk: Desk) -> None:
    """List the models that there are."""
    found = desk.client.models()
    desk.show(found, models_table(found) if found else "No models.")


@models.command()
@click.argument("model")
@asks_service
def show(desk: Desk, model: str) -> None:
    """Show a model: its parts and part groups, and what its card says."""
    found = desk.client.model(model)
    desk.show(found, model_table(found))


@models.command()
@click.argument("model")
@asks_service
def delete(desk: Desk, model: str) -> None:
    """Delete a model of yours, with your vectors that fit it.

    Refused while a job that has not ended names it. The bundled ones cannot be deleted.
    """
    desk.client.delete_model(model)
    desk.show({"name": model, "deleted": True}, "deleted")


@models.command("import")
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="FILE...")
@click.option("--name", help="The new model's name.")
@click.option("--classifiers", type=FILE, multiple=True, help="A file that must be one; may be given again.")
@click.option("--vectors", type=FILE, multiple=True, help="A file that must be one; may be given again.")
@click.option("--encoder", type=FILE, help="The file of another project's encoder: kept, and not run.")
@click.option("--w-avg", type=FILE, help="An .npy file with the mean w, where the generator's has none.")
@click.option("--parts", help="Names of the classifiers' parts, in order, with commas between.")
@click.option("--to", type=click.Path(path_type=Path), help="Convert here, into this new folder, instead.")
@takes_options
@asks_service
def import_(
    desk: Desk,
    files: tuple[Path, ...],
    name: str | None,
    classifiers: tuple[Path, ...],
    vectors: tuple[Path, ...],
    encoder: Path | None,
    w_avg: Path | None,
    parts: str | None,
    to: Path | None,
    options: JSON,
) -> None:
    """Make a model of other projects' checkpoints. Nothing in a file is executed.

    Reads generators (stylegan2-ada-pytorch and stylegan3 .pkl, rosinality .pt, TensorFlow .pkl), pixel
    classifiers, and editing vectors (.npy): what a FILE is shows by what it holds. Give what belongs together
    at once. The files are uploaded, and a job of the service makes the model.
    """
    given = _by_role(files, classifiers, vectors, encoder, w_avg)
    if to is not None:
        if w_avg or options:
            raise click.UsageError(
                "--w-avg and -o are for an import by the service: they do not go with --to"
            )
        _convert([path for path, _ in given], to, name, parts)
    if name is None:
        raise click.UsageError("give the new model's --name; or --to FOLDER, to convert the files here")
    missing = [path for path, _ in given if not path.is_file()]
    if missing:
        raise click.ClickException(f"{missing[0]} is no file")
    kept = upload_all(desk.client, desk.console, tuple(path for path, _ in given))
    shown = [{"file": file["id"], "role": role} for file, (_, role) in zip(kept, given, strict=True)]
    spec: JSON = {"kind": "import_model", "name": name, "files": shown}
    if parts:
        spec["parts"] = [part.strip() for part in parts.split(",")]
    job = run_job(desk, spec | options)
    if not desk.as_json:
        preview = f"{desk.client.address}/v1/jobs/{job['id']}/outputs/preview.png"
        desk.console.print(escape(f"samples, as they are drawn here: {preview}"), highlight=False)


def _three(_context: click.Context, _parameter: click.Parameter, text: str) -> list[float]:
    try:
        red, green, blue = (float(number) for number in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text}: give three numbers with commas between") from None
    return [red, green, blue]


@models.command("import-identity")
@click.argument("model")
@click.argument("file", type=FILE, metavar="FILE")
@click.option("--name", help="The model that is left; by default MODEL, as one of your own.")
@click.option(
    "--size", "size_px", type=int, default=112, show_default=True, help="Side of the network's input."
)
@click.option(
    "--mean", callback=_three, default="0.5,0.5,0.5", show_default=True, help="Of red, green, blue."
)
@click.option("--std", callback=_three, default="0.5,0.5,0.5", show_default=True, help="Of red, green, blue.")
@click.option("--bgr", is_flag=True, help="The network takes blue first.")
@click.option("--crop", type=float, default=1.0, show_default=True, help="What it sees: the central square.")
@click.option("--sha256", help="Of the FILE that you mean: another one is refused.")
@asks_service
def import_identity(
    desk: Desk, model: str, file: Path, name: str | None, bgr: bool, sha256: str | None, **sight: Any
) -> None:
    """Give MODEL your own identity network, an ONNX file: its edits then keep who a picture shows.

    The network sees (value - mean) / std of values from 0 to 1. Nothing in the file is executed.
    """
    (kept,) = upload_all(desk.client, desk.console, (file,))
    spec: JSON = {"kind": "import_identity", "model": model, "file": kept["id"], **sight}
    spec |= {"sha256": sha256 or kept["sha256"], "channels": "bgr" if bgr else "rgb"}
    run_job(desk, spec | ({"name": name} if name else {}))


def _by_role(
    files: Iterable[Path],
    classifiers: Iterable[Path],
    vectors: Iterable[Path],
    encoder: Path | None,
    w_avg: Path | None,
) -> list[tuple[Path, str]]:
    found = [(path, "auto") for path in files]
    found += [(path, "classifier") for path in classifiers]
    found += [(path, "vector") for path in vectors]
    return found + [(path, role) for path, role in ((encoder, "encoder"), (w_avg, "w_avg")) if path]


def _convert(files: list[Path], to: Path, name: str | None, parts: str | None) -> NoReturn:
    """Into a folder, in a process that has torch."""
    if importlib.util.find_spec("torch") is None:
        raise click.ClickException("converting needs the worker's packages: install editq[worker]")
    given = {"--to": to, "--name": name, "--parts": parts}
    options = [f"{option}={value}" for option, value in given.items() if value is not None]
    # -P: no module is taken from the current folder, which may be one of downloads
    arguments = [sys.executable, "-P", "-m", "gpu_ops.importers", *options, "--", *map(str, files)]
    sys.exit(subprocess.run(arguments, check=False).returncode)
