"""`editq completion`: what a shell reads to complete commands and options."""

import json

import click
from click.shell_completion import get_completion_class

_WHERE = {
    "bash": 'eval "$(editq completion bash)"  in ~/.bashrc',
    "zsh": 'eval "$(editq completion zsh)"  in ~/.zshrc',
    "fish": "editq completion fish | source  in ~/.config/fish/config.fish",
}


@click.command(epilog="\b\n" + "\n".join(_WHERE.values()))
@click.argument("shell", type=click.Choice(list(_WHERE)))
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def completion(context: click.Context, shell: str, as_json: bool) -> None:
    """Print a script that has SHELL complete editq's commands."""
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(context.find_root().command, {}, "editq", "_EDITQ_COMPLETE").source()
    click.echo(json.dumps({"shell": shell, "script": script}, indent=2) if as_json else script)
