"""What every command that asks a service shares: which service, how its answer is shown, how it ends."""

import contextlib
import functools
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click
import httpx
from rich.console import Console, RenderableType

from editq import embedded
from editq.cli_start import Found, asked, asked_or_started, tell
from editq.client import Client
from editq.folder import AlreadyRunning
from editq.processes import Interrupted
from storage.errors import EditqError

WIDE = 200  # columns where no terminal says how many: in a file or a pipe nothing is cut off
INTERRUPTED = 130


class Refused(click.ClickException):
    """A command could not do what it was asked; `told` is what it prints of that with --json."""

    def __init__(self, message: str, told: Any = None) -> None:
        super().__init__(message)
        self.told = told


class Desk:
    """Where a command does its work. The service is looked for, and the embedded one started, when it is
    first needed: what is wrong with a command is said before that."""

    def __init__(
        self, find: Callable[[], AbstractContextManager[Found]], *, as_json: bool, key: str | None = None
    ) -> None:
        self._find, self._open = find, contextlib.ExitStack()
        self._key = key
        self.as_json = as_json
        self.console = console()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    @functools.cached_property
    def _found(self) -> Found:
        return self._open.enter_context(self._find())

    @functools.cached_property
    def client(self) -> Client:
        return self._open.enter_context(Client(self._found.address, key=self._key or self._found.key))

    def tick(self) -> None:
        """To be called now and then during longer work."""
        self._found.tick()

    def show(self, answer: Any, readable: RenderableType) -> None:
        """Print the answer, as JSON where that was asked for."""
        if self.as_json:
            click.echo(json.dumps(answer, indent=2))
        else:
            self.console.print(readable, highlight=False, soft_wrap=isinstance(readable, str))

    @functools.cached_property
    def progress(self) -> Console:
        """For what passes: standard error. With --json only where that is a terminal."""
        out = Console(stderr=True)
        if out.is_terminal:
            return out
        return Console(stderr=True, width=WIDE, quiet=self.as_json)


def asks_service(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose first argument is a Desk. What goes wrong ends it with a word and exit status 1,
    Ctrl-C with 130."""
    return _at_a_desk(command, asked, "By default the one that `editq up` runs here.")


def works_at_service(command: Callable[..., None]) -> Callable[..., None]:
    """The same; where no service is named or runs here, the embedded one is started for it, and stopped."""
    otherwise = "By default the one that runs here; where none does, one is started for this command."
    return _at_a_desk(command, asked_or_started, otherwise)


def _at_a_desk(
    command: Callable[..., None], find: Callable[[str | None], AbstractContextManager[Found]], otherwise: str
) -> Callable[..., None]:
    @click.option(
        "--url",
        envvar="EDITQ_URL",
        metavar="URL",
        help=f"Address of the service (or EDITQ_URL). {otherwise}",
    )
    @click.option(
        "--key-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="A file with the API key (or EDITQ_KEY holds the key itself).",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print the service's answer as JSON.")
    @functools.wraps(command)
    def ask(url: str | None, key_file: Path | None, as_json: bool, **arguments: Any) -> None:
        key = None if key_file is None else key_file.read_text().strip()
        try:
            with Desk(lambda: find(url), as_json=as_json, key=key) as desk:
                command(desk, **arguments)
        except httpx.InvalidURL as error:
            raise click.ClickException(f"{url}: {error}") from None
        except Refused as refusal:
            if as_json and refusal.told is not None:
                click.echo(json.dumps(refusal.told, indent=2))
            raise
        except EditqError as error:
            if as_json:
                told = {"code": error.code, "detail": error.detail, "field": error.field}
                click.echo(json.dumps({"error": told}, indent=2))
            raise click.ClickException(sentence(error)) from None
        except embedded.ServiceFailed as error:
            raise click.ClickException(f"the service could not run: {error}") from None
        except AlreadyRunning as running:
            raise click.ClickException(f"editq is {running}") from None
        except KeyboardInterrupt as interruption:
            with contextlib.suppress(KeyboardInterrupt):
                tell("interrupted")
            status = interruption.exit_status if isinstance(interruption, Interrupted) else INTERRUPTED
            sys.exit(status)

    return ask


def console() -> Console:
    out = Console()
    return out if out.is_terminal else Console(width=WIDE)


def sentence(error: EditqError) -> str:
    expected = f" Expected: {error.expected}." if error.expected and error.expected not in str(error) else ""
    return f"{error}{expected}"
