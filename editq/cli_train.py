"""`editq train` and `editq evaluate`, which `editq models` has too; and `editq gallery`."""

import importlib.util
import json
import subprocess
import sys

import click

from editq.cli_training import evaluate as evaluate
from editq.cli_training import suggest_annotations, train_encoder, train_generator, train_segmenter


@click.group()
def train() -> None:
    """Train models: a generator, the parts of its pictures, an encoder.

    docs/own-model.md leads from a folder of pictures to an editor.
    """


train.add_command(train_generator, "generator")
train.add_command(suggest_annotations, "annotations")
train.add_command(train_segmenter, "segmenter")
train.add_command(train_encoder, "encoder")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print what came of it as JSON.")
def gallery(as_json: bool) -> None:
    """Draw docs/gallery.md from the bundled models, here.

    Takes some minutes for each. Writes into the source tree that editq was installed from.
    """
    if importlib.util.find_spec("torch") is None:
        raise click.ClickException("drawing needs the worker's packages: install editq[worker]")
    command = [sys.executable, "-P", "-m", "gpu_ops.gallery"]
    done = subprocess.run(command, check=False, stdout=sys.stderr if as_json else None)
    if as_json:
        click.echo(json.dumps({"drawn": done.returncode == 0}))
    raise SystemExit(int(done.returncode != 0))
