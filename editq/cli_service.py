"""What every command that asks a service shares: which service, and how its answer is shown."""

import functools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click
import httpx
from rich.console import Console, RenderableType

from editq.client import Client
from editq.folder import DataFolder
from storage.errors import EditqError

DEFAULT_URL = "http://127.0.0.1:8000"
WIDE = 200  # columns where no terminal says how many: in a file or a pipe nothing is cut off


@dataclass(frozen=True)
class Desk:
    """Where a command does its work. `show` prints the answer as JSON where that was asked for."""

    client: Client
    as_json: bool
    console: Console

    def show(self, answer: Any, readable: RenderableType) -> None:
        if self.as_json:
            click.echo(json.dumps(answer, indent=2))
        else:
            self.console.print(readable, highlight=False, soft_wrap=isinstance(readable, str))


def asks_service(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose first argument is a Desk. What goes wrong ends it with a word and exit status 1."""

    @click.option(
        "--url",
        envvar="EDITQ_URL",
        metavar="URL",
        help="Address of the service (or EDITQ_URL). By default the one that `editq up` runs here.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print the service's answer as JSON.")
    @functools.wraps(command)
    def ask(url: str | None, as_json: bool, **arguments: Any) -> None:
        try:
            with Client(url or running_here() or DEFAULT_URL) as client:
                command(Desk(client, as_json, console()), **arguments)
        except httpx.InvalidURL as error:
            raise click.ClickException(f"{url}: {error}") from None
        except EditqError as error:
            raise click.ClickException(_sentence(error)) from None

    return ask


def running_here() -> str | None:
    """Address of the service that runs in the data folder, if one does."""
    folder = DataFolder.chosen(os.environ)
    address = folder.read().get("address") if folder.busy() else None
    return address if isinstance(address, str) else None


def console() -> Console:
    out = Console()
    return out if out.is_terminal else Console(width=WIDE)


def _sentence(error: EditqError) -> str:
    expected = f" Expected: {error.expected}." if error.expected and error.expected not in str(error) else ""
    return f"{error}{expected}"
