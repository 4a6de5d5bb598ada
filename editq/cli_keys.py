"""`editq keys`: API keys of one's tenant. (The first one of all: workers/keys.py.)"""

import click

from editq.cli_service import Desk, asks_service
from editq.tables import keys_table

key_id = click.argument("key_id", metavar="KEY")


@click.group()
def keys() -> None:
    """Create API keys, list, rotate and revoke them."""


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(["read", "submit", "admin"]),
    default="submit",
    show_default=True,
    help="Each may also do what those before it may.",
)
@click.option(
    "--days", type=click.FloatRange(0, min_open=True), help="How long it holds; else until revoked."
)
@asks_service
def create(desk: Desk, name: str, scope: str, days: float | None) -> None:
    """Create a key, and print it: it is shown this once."""
    made = desk.client.create_key(name, scope, lasts_s=None if days is None else days * 86400.0)
    desk.show(made, made["key"])


@keys.command("list")
@click.option("--prefix", default="", help="Only those that begin so, after editq_.")
@asks_service
def list_keys(desk: Desk, prefix: str) -> None:
    """List keys, newest first, those that no longer hold too."""
    found = list(desk.client.list_keys(prefix=prefix))
    desk.show({"items": found}, keys_table(found) if found else "No keys.")


@keys.command()
@key_id
@click.option(
    "--grace-hours", type=click.FloatRange(0, 720), default=24.0, show_default=True, help="For the old key."
)
@asks_service
def rotate(desk: Desk, key_id: str, grace_hours: float) -> None:
    """Put a new key in the place of one, and print it.

    The old one holds for its grace: time to bring the new one to where it is used.
    """
    made = desk.client.rotate_key(key_id, grace_s=grace_hours * 3600.0)
    desk.show(made, made["key"])


@keys.command()
@key_id
@asks_service
def revoke(desk: Desk, key_id: str) -> None:
    """Revoke a key: from now on it is refused."""
    found = desk.client.revoke_key(key_id)
    desk.show(found, f"revoked: editq_{found['prefix']}_…")
