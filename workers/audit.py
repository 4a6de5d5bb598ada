"""Who did what by a command beside the service: a line of the log `editq.audit`, as API calls have them.

It goes to standard error, and to the system's own log where there is one: a terminal keeps nothing.
"""

import logging
import os
import pwd
from logging.handlers import SysLogHandler
from pathlib import Path

from storage.log import Blotter, JsonLines, configure_logging, secrets_of
from storage.settings import Settings

SYSTEM_LOG = Path("/dev/log")
log = logging.getLogger("editq.audit")


def keep_audit(settings: Settings, system_log: Path = SYSTEM_LOG) -> None:
    """For the process of a command."""
    configure_logging(settings)
    if system_log.is_socket():
        handler = SysLogHandler(str(system_log), SysLogHandler.LOG_AUTH)
        handler.ident = "editq: "
        handler.setFormatter(JsonLines(Blotter(secrets_of(settings))))
        log.addHandler(handler)


def note(action: str, thing: str, tenant_id: str) -> None:
    """One thing that was done, once it is done."""
    about = {"actor": actor(), "action": action, "object": thing, "tenant_id": tenant_id}
    log.info("audit", extra=about)


def actor() -> str:
    """The operating system's user; under sudo with who became it. (The environment's word alone is not
    taken: root may say anything in it, and others have no SUDO_USER that counts.)"""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"uid {uid}"
    before = os.environ.get("SUDO_USER")
    return f"{name} (sudo by {before})" if before and uid == 0 else name
