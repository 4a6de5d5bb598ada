"""`editq jobs`: look at jobs, watch them, and say what is to become of them."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, get_args

import click

from editq.cli_service import Desk, asks_service
from editq.job_handle import ended
from editq.live import watch as show_live
from editq.tables import job_table, jobs_table
from storage.records import Priority, Status
from storage.specs import Kind

JSON = dict[str, Any]
job_id = click.argument("job_id", metavar="JOB")


@click.group()
def jobs() -> None:
    """List jobs, watch them, cancel, stop or repeat them."""


@jobs.command("list")
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Only these.")
@click.option("--kind", type=click.Choice(get_args(Kind)), help="Only these.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@asks_service
def list_jobs(desk: Desk, status: str | None, kind: str | None, limit: int) -> None:
    """List jobs, newest first."""
    found = list(desk.client.jobs(status=status, kind=kind, limit=limit))
    desk.show(found, jobs_table(found) if found else "No jobs.")


@jobs.command()
@job_id
@asks_service
def show(desk: Desk, job_id: str) -> None:
    """Show a job: what was asked, how it stands, what it made."""
    job = desk.client.get(job_id)
    desk.show(job, job_table(job))


@jobs.command()
@job_id
@asks_service
def watch(desk: Desk, job_id: str) -> None:
    """Follow a job until it has ended.

    The exit status is 0 when it succeeded. With --json, one line for each change.
    """
    updates = desk.client.follow(job_id)
    if desk.as_json:
        job = _print_lines(updates)
    else:
        first = next(updates)
        job = show_live(desk.console, first["kind"], _chained(first, updates), tick=lambda: None)
        if job["error"]:
            click.echo(f"{job['error'].get('code')}: {job['error'].get('detail')}", err=True)
    raise SystemExit(0 if job["status"] == "succeeded" else 1)


@jobs.command()
@job_id
@asks_service
def explain(desk: Desk, job_id: str) -> None:
    """Say why a job waits, what it is doing, or how it ended."""
    found = desk.client.explain(job_id)
    reasons = "\n".join(f"- {reason['text']}" for reason in found["reasons"])
    desk.show(found, f"{found['status']}\n{reasons}")


@jobs.command()
@job_id
@asks_service
def cancel(desk: Desk, job_id: str) -> None:
    """Cancel a job.

    At once while it is queued; while it runs, after its step.
    """
    job = desk.client.cancel(job_id)
    desk.show(job, "canceled" if ended(job) else "asked to cancel: it ends after its step")


@jobs.command()
@job_id
@asks_service
def stop(desk: Desk, job_id: str) -> None:
    """End a job early and keep its best so far.

    The job then succeeds. One that has not done a step yet has nothing to keep, and is refused.
    """
    desk.show(desk.client.stop(job_id), "asked to stop: it ends after its step, with its best so far")


@jobs.command()
@job_id
@asks_service
def retry(desk: Desk, job_id: str) -> None:
    """Do an ended job again, as a new job.

    Prints the id of the new one.
    """
    job = desk.client.retry(job_id)
    desk.show(job, job["id"])


@jobs.command()
@job_id
@click.argument("priority", type=click.Choice([priority.value for priority in Priority]))
@asks_service
def priority(desk: Desk, job_id: str, priority: str) -> None:
    """Move a job to another class of priority.

    Interactive comes before standard, and standard before bulk.
    """
    job = desk.client.set_priority(job_id, priority)
    desk.show(job, f"{job['priority']}, {job['status']}")


@jobs.command()
@job_id
@asks_service
def delete(desk: Desk, job_id: str) -> None:
    """Delete an ended job and its outputs.

    Vectors and models that it left stay. Refused while a job that has not ended starts from it.
    """
    desk.client.delete_job(job_id)
    desk.show({"id": job_id, "deleted": True}, "deleted")


def _print_lines(updates: Iterable[JSON]) -> JSON:
    job: JSON = {}
    for job in updates:
        click.echo(json.dumps(job))
    return job


def _chained(first: JSON, rest: Iterable[JSON]) -> Iterator[JSON]:
    yield first
    yield from rest
