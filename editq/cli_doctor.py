"""`editq doctor`: what works here, what does not, and how to mend it."""

import json

import click
from rich.console import Console
from rich.markup import escape

from editq.cli_service import console
from editq.doctor import Finding, examine

_MARKS = {
    "ok": "[green]OK[/green]     ",
    "warning": "[yellow]WARNING[/yellow]",
    "failed": "[red]FAILED[/red] ",
}


@click.command()
@click.option("--url", envvar="EDITQ_URL", metavar="URL", help="Look at this service alone (or EDITQ_URL).")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(url: str | None, as_json: bool) -> None:
    """Check all that editq needs, and say how to mend it.

    Python and packages, the service, broker, database and its tables, object store, models, GPU, disk, port.
    The exit status is 1 where something has failed; a WARNING is none.
    """
    found = []
    for finding in examine(url):
        found.append(finding)
        if not as_json:
            _print(console(), finding)
    failed = any(finding.state == "failed" for finding in found)
    if as_json:
        click.echo(json.dumps({"ok": not failed, "findings": [each.plain() for each in found]}, indent=2))
    raise SystemExit(int(failed))


def _print(out: Console, finding: Finding) -> None:
    line = f"{_MARKS[finding.state]}  {escape(finding.check)}: {escape(finding.found)}"
    out.print(line, highlight=False, soft_wrap=True)
    if finding.state != "ok" and finding.mend:
        out.print(f"         mend: {escape(finding.mend)}", highlight=False, soft_wrap=True)
