"""`python -m workers.keys`: API keys of any tenant, for whoever has the database. Makes the first one.

    python -m workers.keys create --tenant acme --scope admin --name "ops laptop"
    python -m workers.keys list --tenant acme
    python -m workers.keys revoke --tenant acme KEY_ID

`create` prints the key, once, and nothing else on standard output; with --to it goes into a file that only
its owner may read. What is changed is told in the audit log (workers/audit.py).
"""

import os
import sys
from pathlib import Path

import click

from storage.access import Keys
from storage.database import Database
from storage.errors import EditqError
from storage.key_records import Scope
from storage.keys import SqlKeys
from storage.settings import Settings
from workers.audit import keep_audit, note

tenant = click.option("--tenant", metavar="NAME", required=True, help="Whose keys.")


def opened() -> Keys:
    return SqlKeys(Database(Settings().database_url))


@click.group(help=__doc__.split("\n\n")[0] if __doc__ else None)
def main() -> None: ...


@main.command()
@tenant
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in Scope]),
    required=True,
    help="Each may do what those before may.",
)
@click.option("--name", default="first key", show_default=True, help="For whom or what it is.")
@click.option("--lasts-days", type=click.FloatRange(0, min_open=True), help="How long; else until revoked.")
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), help="A new file for the key.")
def create(tenant: str, scope: str, name: str, lasts_days: float | None, to: Path | None) -> None:
    """Create a key, and print it: it is shown this once."""
    lasts_s = None if lasts_days is None else lasts_days * 86400.0
    key, secret = opened().create(tenant, name, Scope(scope), lasts_s=lasts_s)
    note("keys.create_key", f"/v1/keys/{key.id}", tenant)
    if to is None:
        click.echo(secret.text)
    else:
        to.unlink(missing_ok=True)
        with open(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{secret.text}\n")
    click.echo(f"{key.id}: {key.scope} for tenant {key.tenant_id}", err=True)


@main.command("list")
@tenant
def list_keys(tenant: str) -> None:
    """List a tenant's keys, newest first."""
    cursor: str | None = None
    while True:
        page = opened().list(tenant, limit=100, cursor=cursor)
        for key in page.items:
            state = "revoked" if key.revoked_at is not None else "expires" if key.expires_at else "holds"
            click.echo(f"{key.id}  editq_{key.prefix}_…  {key.scope:7} {state:8} {key.name}")
        cursor = page.next_cursor
        if cursor is None:
            return


@main.command()
@tenant
@click.argument("key_id", metavar="KEY_ID")
def revoke(tenant: str, key_id: str) -> None:
    """Revoke a key: from now on it is refused."""
    key = opened().revoke(tenant, key_id)
    note("keys.revoke_key", f"/v1/keys/{key.id}", tenant)
    click.echo(f"revoked: editq_{key.prefix}_…")


if __name__ == "__main__":
    try:
        keep_audit(Settings())
        main()
    except EditqError as error:
        click.echo(f"{error.detail}{f' Expected: {error.expected}.' if error.expected else ''}", err=True)
        sys.exit(1)
