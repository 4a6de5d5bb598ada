"""`python -m workers.limits`: what one tenant may do where it is another than the settings say.

    python -m workers.limits show --tenant acme
    python -m workers.limits set --tenant acme jobs_running 4
    python -m workers.limits unset --tenant acme jobs_running

0 is no limit. It holds within seconds; nothing is restarted. What is changed is told in the audit log.
"""

import dataclasses

import click

from storage.access import Limits
from storage.database import Database
from storage.key_records import checked_tenant
from storage.limit_records import Limit
from storage.limits import SqlLimits
from storage.settings import Settings
from workers.audit import keep_audit, note

tenant = click.option("--tenant", metavar="NAME", required=True, help="Whose limits.")
limit = click.argument("limit", type=click.Choice([name.value for name in Limit]))


def opened() -> Limits:
    settings = Settings()
    return SqlLimits(Database(settings.database_url), settings.limits)


@click.group(help=__doc__.split("\n\n")[0] if __doc__ else None)
def main() -> None: ...


@main.command()
@tenant
def show(tenant: str) -> None:
    """Show what a tenant may do, and what it has."""
    limits = opened()
    for name, most in limits.of(tenant).items():
        click.echo(f"{name.value:16} {f'{most:g}' if most else 'none'}")
    for what, value in dataclasses.asdict(limits.held(tenant)).items():
        click.echo(f"now {what:12} {value:g}")


@main.command("set")
@tenant
@limit
@click.argument("value", type=click.FloatRange(0))
def set_limit(tenant: str, limit: str, value: float) -> None:
    """Set a limit of a tenant."""
    opened().set(checked_tenant(tenant), Limit(limit), value)
    note("limits.set", f"{limit} = {value:g}", tenant)


@main.command()
@tenant
@limit
def unset(tenant: str, limit: str) -> None:
    """Let a tenant have what the settings say."""
    opened().set(checked_tenant(tenant), Limit(limit), None)
    note("limits.unset", limit, tenant)


if __name__ == "__main__":
    keep_audit(Settings())
    main()
