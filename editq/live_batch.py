"""Shows a batch while it goes on: a live picture on a terminal, plain lines every few seconds elsewhere."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from editq.client_batches import batch_ended

JSON = dict[str, Any]
_LINE_EVERY_S = 3.0
_BAR_COLUMNS = 32


def watch(console: Console, updates: Iterable[JSON]) -> JSON:
    """Show the updates (Client.watch_batch) and return the last."""
    view = (_watch_live if console.is_terminal else _watch_lines)(console, updates)
    console.print(escape(f"batch {view['id']}: {outcome(view)}"), highlight=False, soft_wrap=True)
    return view


def _watch_live(console: Console, updates: Iterable[JSON]) -> JSON:
    view: JSON = {}
    with Live(console=console, transient=True, refresh_per_second=4) as live:
        for view in updates:
            live.update(shown(view))
    return view


def _watch_lines(console: Console, updates: Iterable[JSON]) -> JSON:
    view: JSON = {}
    last, last_at = "", -_LINE_EVERY_S
    for view in updates:
        line = describe(view)
        if line != last and time.monotonic() - last_at >= _LINE_EVERY_S and not batch_ended(view):
            console.print(escape(f"batch {view['id']}: {line}"), highlight=False, soft_wrap=True)
            last, last_at = line, time.monotonic()
    return view


def shown(view: Mapping[str, Any]) -> RenderableType:
    """Bar, counts, who works on it, and what went wrong so far."""
    counts = view["counts"]
    known = bool(counts["items"])
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        escape(state_of(view)),
        ProgressBar(total=counts["items"] if known else None, completed=done(view), width=_BAR_COLUMNS,
                    pulse=not known),
        f"{done(view)}/{counts['items']}" if known else "reading the inputs",
        *_pace(view),
    )  # fmt: skip
    parts: list[RenderableType] = [bar, escape(counted(counts))]
    if view.get("workers"):
        parts.append(_workers(view["workers"]))
    if view["errors"]:
        parts.append(_errors(view["errors"]))
    return Group(*parts)


def describe(view: Mapping[str, Any]) -> str:
    """Where a batch is, in a line."""
    if not view["counts"]["items"] and not batch_ended(view):
        return f"{state_of(view)}, reading the inputs"
    words = [f"{done(view)}/{view['counts']['items']}", counted(view["counts"]), *_pace(view)]
    return f"{state_of(view)}  " + "  ".join(word for word in words if word)


def state_of(view: Mapping[str, Any]) -> str:
    if batch_ended(view):
        return str(view["status"]).replace("_", " ")
    if view["cancel_requested"]:
        return "canceling"
    return "paused" if view["paused"] else str(view["status"])


def outcome(view: Mapping[str, Any]) -> str:
    """How it stands, or ended, as a sentence."""
    error = view["error"] or {}
    told = [state_of(view), counted(view["counts"])]
    told += [f"{error.get('code')}: {error.get('detail')}"] if error else []
    return "; ".join(word for word in told if word)


def done(view: Mapping[str, Any]) -> int:
    """Items that need no more work, those of running chunks too."""
    counts = view["counts"]
    return int(counts["items"] - counts["left"])


def counted(counts: Mapping[str, int]) -> str:
    names = {"succeeded": "succeeded", "failed": "failed", "canceled": "canceled", "invalid": "refused"}
    words = [f"{counts[name]} {word}" for name, word in names.items() if counts[name]]
    if counts["reused"]:
        words.insert(1, f"({counts['reused']} of them there already)")
    return ", ".join(words).replace(", (", " (")


def span(seconds: float) -> str:
    """A length of time, in a word or two."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _pace(view: Mapping[str, Any]) -> list[str]:
    words = [f"{view['items_per_s']:.3g} items/s"] if view["items_per_s"] else []
    return words + ([f"{span(view['seconds_left'])} left"] if view["seconds_left"] else [])


def _workers(workers: Iterable[Mapping[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for worker in workers:
        rate = f"{worker['items_per_s']:.3g} items/s" if worker["items_per_s"] else ""
        at = f"{worker['done']}/{worker['items']}" if worker["items"] else "starting"
        table.add_row(f"  {escape(worker['worker'] or '')}", f"chunk {worker['chunk']}", at, rate)
    return table


def _errors(errors: Mapping[str, int]) -> Table:
    table = Table.grid(padding=(0, 2))
    for code, count in sorted(errors.items(), key=lambda each: (-each[1], each[0])):
        table.add_row(f"  {count}", f"[red]{escape(code)}[/red]")
    return table
