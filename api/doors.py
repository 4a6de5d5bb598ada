"""What is looked at before a process lets anybody in: where it listens, and whether there is a key."""

import importlib
import logging
from collections.abc import Iterable
from typing import Any

from storage.access import Keys
from storage.addresses import is_loopback
from storage.errors import EditqError
from storage.settings import Settings

log = logging.getLogger("editq.api")
CREATE = 'python -m workers.keys create --tenant local --scope admin --name "first key"'


class NotOpened(RuntimeError):
    """gunicorn prints it as one line, and ends."""


def check_doors(settings: Settings, names: Iterable[Any]) -> None:
    """`names`: what getsockname() says of each listener. Raises NotOpened."""
    if settings.keys_required:
        return
    for name in names:
        host = name[0] if isinstance(name, tuple) else ""  # a socket in the file system: who asks is not seen
        if not is_loopback(host):
            raise NotOpened(
                f"editq does not listen on {host or name} without API keys. Set EDITQ_KEYS_REQUIRED=true, "
                f"and create a key: {CREATE}"
            )


def _check_packages() -> None:
    try:
        importlib.import_module("jwt")
    except ImportError as error:
        text = f"EDITQ_OIDC is set, and tokens cannot be checked ({error}): install editq[oidc]."
        raise NotOpened(text) from None


def check_keys(settings: Settings, keys: Keys) -> None:
    """Raises NotOpened where keys are asked for and there is none, nor an issuer of tokens. A database
    that is away is waited for: nobody is let in meanwhile."""
    if settings.oidc is not None:
        _check_packages()
    if not settings.keys_required or settings.oidc is not None:
        return
    try:
        there = keys.any()
    except EditqError as error:
        log.warning("whether there are API keys is not known yet: %s", error.detail)
        return
    if not there:
        raise NotOpened(f"editq asks for API keys, and there is none that holds. Create one: {CREATE}")
