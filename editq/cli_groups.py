"""How `editq --help` shows its commands, and the exit statuses of them all."""

import click

GROUPS = {
    "Edit pictures": ("edit", "apply", "sweep", "learn", "invert", "sample", "batch"),
    "What the service holds": ("images", "files", "models", "vectors"),
    "Models and data sets": ("dataset", "train", "evaluate", "gallery"),
    "Jobs and operation": ("jobs", "queues", "workers", "usage", "keys"),
    "This machine": ("up", "demo", "doctor", "completion"),
}
EXITS = (
    "\b\nExit status: 0 done, 1 it failed or the service said no, 2 wrongly asked,\n"
    "3 done in part, 130 interrupted."
)


class GroupedCommands(click.Group):
    """Commands in groups; one that is in none comes last."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        grouped = [name for names in GROUPS.values() for name in names if name in self.commands]
        return grouped + sorted(set(self.commands) - set(grouped))

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        grouped = {name for names in GROUPS.values() for name in names}
        others = tuple(sorted(set(self.commands) - grouped))
        width = max(map(len, self.commands))
        for title, names in {**GROUPS, "Others": others}.items():
            rows = [
                (name.ljust(width), self.commands[name].get_short_help_str(formatter.width - width - 6))
                for name in names
                if name in self.commands
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
