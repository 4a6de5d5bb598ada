"""`editq queues`, `editq workers` and `editq usage`: for whoever runs the service."""

import click

from editq.cli_service import Desk, asks_service
from editq.tables import queues_table, usage_table, workers_table

queue = click.argument("queue", metavar="[QUEUE]", default="gpu")
worker = click.argument("worker", metavar="WORKER")


@click.group()
def queues() -> None:
    """Look at queues, pause and resume them."""


@queues.command("list")
@asks_service
def list_queues(desk: Desk) -> None:
    """List the queues, and how many jobs wait there."""
    found = desk.client.queues()
    desk.show(found, queues_table(found))


@queues.command()
@queue
@asks_service
def pause(desk: Desk, queue: str) -> None:
    """Take nothing more from a queue.

    What runs goes on. The queue is gpu unless another is named.
    """
    found = desk.client.pause(queue)
    desk.show(found, f"{found['name']} is paused: {found['queued']} wait, {found['running']} run on")


@queues.command()
@queue
@asks_service
def resume(desk: Desk, queue: str) -> None:
    """Take from a queue again.

    The queue is gpu unless another is named.
    """
    found = desk.client.resume(queue)
    desk.show(found, f"{found['name']} is open: {found['eligible']} can be taken now")


@click.group()
def workers() -> None:
    """Look at workers, drain them and let them go on."""


@workers.command("list")
@asks_service
def list_workers(desk: Desk) -> None:
    """List the workers, and what they run.

    A worker is ready, busy, draining, or missing (not heard of, but a job is still in its name).
    """
    found = desk.client.workers()
    desk.show(found, workers_table(found) if found else "No workers.")


@workers.command()
@worker
@asks_service
def drain(desk: Desk, worker: str) -> None:
    """Have a worker take nothing more.

    It puts back what it runs, with a checkpoint, for another worker to go on.
    """
    found = desk.client.drain(worker)
    runs = (
        f": {len(found['jobs']) + found['others']} still to put back" if found["state"] == "draining" else ""
    )
    desk.show(found, f"{found['name']} is {found['state']}{runs}")


@workers.command()
@worker
@asks_service
def undrain(desk: Desk, worker: str) -> None:
    """Let a drained worker take jobs again."""
    found = desk.client.undrain(worker)
    desk.show(found, f"{found['name']} is {found['state']}")


@click.command()
@click.option(
    "--days", type=click.IntRange(1, 366), default=30, show_default=True, help="Days, today included."
)
@asks_service
def usage(desk: Desk, days: int) -> None:
    """Show what your jobs came to, by day and kind.

    GPU time is how long attempts held a GPU worker, from their claim to their end.
    """
    found = desk.client.usage(days=days)
    desk.show(found, usage_table(found) if found["items"] else f"Nothing has ended since {found['since']}.")
