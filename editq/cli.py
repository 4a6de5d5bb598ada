"""The `editq` command."""

import os
import shlex
import shutil
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from editq import embedded
from editq.cli_apply import apply, sweep
from editq.cli_batch import batch
from editq.cli_completion import completion
from editq.cli_dataset import dataset
from editq.cli_doctor import doctor
from editq.cli_edit import edit
from editq.cli_files import files
from editq.cli_groups import EXITS, GroupedCommands
from editq.cli_images import images
from editq.cli_invert import invert, sample
from editq.cli_jobs import jobs
from editq.cli_keys import keys
from editq.cli_learn import learn
from editq.cli_models import models
from editq.cli_operators import queues, usage, workers
from editq.cli_train import evaluate, gallery, train
from editq.cli_vectors import vectors
from editq.demo import demo
from editq.folder import KEY_FILE, AlreadyRunning, DataFolder
from editq.processes import Interrupted


def _version() -> str:
    try:
        return version("editq")
    except PackageNotFoundError:
        return "unknown (not installed)"


@click.group(cls=GroupedCommands, epilog=EXITS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), prog_name="editq")
def main() -> None:
    """An asynchronous job queue for semantic image editing.

    Data of the service that runs on this machine lie in .editq, or where EDITQ_DATA_DIR says. Commands ask
    that service, or the one at EDITQ_URL; those that edit start one where there is none.
    """


@main.command()
def up() -> None:
    """Start the service on this machine and keep it running until Ctrl-C.

    Starts Valkey, the API, a GPU worker and a housekeeping worker. With EDITQ_REDIS_URL, EDITQ_DATABASE_URL
    (postgresql+psycopg://...) or EDITQ_S3_BUCKET set, uses those instead of the embedded part.
    """
    folder = DataFolder.chosen(os.environ)
    try:
        with embedded.running(folder, say=click.echo) as service:
            click.echo(_welcome(service))
            while True:
                service.tend()
                time.sleep(0.5)
    except Interrupted:  # the ordinary end
        click.echo("stopped: nothing is left running")
    except AlreadyRunning as running:
        click.echo(f"editq is {running}")
        sys.exit(0 if running.address else 1)
    except embedded.ServiceFailed as error:
        click.echo(f"editq could not run: {error}", err=True)
        sys.exit(1)


def _command() -> str:
    """How this command is typed here: it may not be on PATH."""
    beside = Path(sys.executable).with_name("editq")
    if shutil.which("editq"):
        return "editq"
    return os.path.relpath(beside) if beside.exists() else f"{sys.executable} -m editq.cli"


def _welcome(service: embedded.Service) -> str:
    key = ""
    if embedded.asks_for_keys(service.env):  # named by its file: the key itself is shown nowhere
        key = f' -H "Authorization: Bearer $(cat {shlex.quote(str(service.folder.path / KEY_FILE))})"'
    body = '{"kind": "sample", "model": "cars", "seed": 1}'
    return f"""
editq is ready at {service.address}
  studio      {service.address}/studio
  API pages   {service.address}/docs/swagger
  data, logs  {service.folder.path}

Draw a car, and look at the job:
  curl -s {service.address}/v1/jobs{key} -H 'Content-Type: application/json' -d '{body}'
  curl -s '{service.address}/v1/jobs?limit=1'{key}
  {_command()} jobs list

Ctrl-C stops it.
"""


for command in (
    apply,
    batch,
    completion,
    dataset,
    demo,
    doctor,
    edit,
    evaluate,
    files,
    gallery,
    images,
    invert,
    jobs,
    keys,
    learn,
    models,
    queues,
    usage,
    sample,
    sweep,
    train,
    vectors,
    workers,
):
    main.add_command(command)

if __name__ == "__main__":
    main()
