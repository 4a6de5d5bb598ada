"""A job done for a command: checked, submitted, watched to its end, canceled where the command is."""

import contextlib
from collections.abc import Mapping
from typing import Any

import click
from pydantic import ValidationError
from rich.markup import escape

from editq.cli_service import Desk, Refused
from editq.cli_start import tell
from editq.live import watch
from storage.errors import EditqError
from storage.specs import JOB_SPEC, JobSpec

JSON = dict[str, Any]


def checked(members: Mapping[str, Any]) -> JobSpec:
    """The spec. Raises click.UsageError naming the first member that is wrong."""
    try:
        return JOB_SPEC.validate_python(members)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"][1:] if part != "function-wrap")
        message = first["msg"].removeprefix("Value error, ")
        raise click.UsageError(f"{place}: {message}" if place else message) from None


def do(desk: Desk, label: str, members: Mapping[str, Any]) -> JSON:
    """The succeeded job. Raises Refused where it ended otherwise; Ctrl-C cancels it, and is passed on."""
    job: JSON = desk.client.submit(checked(members))
    try:
        updates = desk.client.follow(job["id"])
        job = watch(desk.progress, escape(label), updates, tick=desk.tick)
    except KeyboardInterrupt:
        with contextlib.suppress(EditqError):
            desk.client.cancel(job["id"])
            tell(f"asked to cancel job {job['id']}")
        raise
    if job["status"] != "succeeded":
        why = job["error"] or {}
        reason = f": {why.get('code')}: {why.get('detail')}" if why else ""
        raise Refused(f"the {job['kind']} job {job['id']} {ending(job)}{reason}", {"job": job})
    return job


def ending(job: JSON) -> str:
    return "was canceled" if job["status"] == "canceled" else str(job["status"])


def warnings_of(job: JSON) -> list[str]:
    return [str(warning.get("detail", "")) for warning in job["result"].get("warnings") or []]
