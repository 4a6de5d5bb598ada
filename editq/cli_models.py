"""`editq models`. Files are read by a process that has torch; trainings are jobs of the service."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import click

from editq.cli_training import COMMANDS


@click.group()
def models() -> None:
    """Models: import the checkpoints that you have, or train your own."""


for command in COMMANDS:
    models.add_command(command)


@models.command("import")
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="FILE...")
@click.option("--to", type=click.Path(path_type=Path), help="A new folder; by default the first file's name.")
@click.option("--name", help="The model's name; by default the folder's.")
@click.option("--parts", help="Names of the classifiers' parts, in order, with commas between.")
def import_(files: tuple[Path, ...], to: Path | None, name: str | None, parts: str | None) -> None:
    """Turn other projects' checkpoints into a model's folder. Nothing in a file is executed.

    Reads generators (stylegan2-ada-pytorch and stylegan3 .pkl, rosinality .pt, TensorFlow .pkl), pixel
    classifiers, and editing vectors (.npy). Give what belongs together at once.
    """
    if importlib.util.find_spec("torch") is None:
        raise click.ClickException("importing needs the worker's packages: install editq[worker]")
    given = {"--to": to, "--name": name, "--parts": parts}
    options = [f"{option}={value}" for option, value in given.items() if value is not None]
    # -P: no module is taken from the current folder, which may be one of downloads
    arguments = [sys.executable, "-P", "-m", "gpu_ops.importers", *options, "--", *map(str, files)]
    sys.exit(subprocess.run(arguments, check=False).returncode)
