"""Shows a job while it runs: a live bar on a terminal, plain lines every few seconds anywhere else."""

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from storage.records import MOST_AHEAD

JSON = dict[str, Any]
_LINE_EVERY_S = 3.0
_RATE_OVER_S = 10.0


def watch(console: Console, label: str, updates: Iterable[JSON], *, tick: Callable[[], None]) -> JSON:
    """Show the updates (Client.follow) and return the last; `tick` is called at each."""
    return (_watch_bar if console.is_terminal else _watch_lines)(console, label, updates, tick)


def _watch_bar(console: Console, label: str, updates: Iterable[JSON], tick: Callable[[], None]) -> JSON:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[state]}"),
    )
    job: JSON = {}
    pace = Pace()
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task(label, total=None, state="")
        for job in updates:
            tick()
            progress = job.get("progress") or {}
            total = progress.get("total") if job["status"] == "running" else None
            state = "  ".join((describe(job), *pace.words(job)))
            bars.update(bar, total=total, completed=progress.get("step") or 0, state=state)
    console.print(f"{label}: {_outcome(job)}", highlight=False)
    return job


def _watch_lines(console: Console, label: str, updates: Iterable[JSON], tick: Callable[[], None]) -> JSON:
    job: JSON = {}
    pace = Pace()
    last, last_at = "", -_LINE_EVERY_S
    for job in updates:
        tick()
        line = "  ".join((describe(job), *pace.words(job)))
        if line != last and time.monotonic() - last_at >= _LINE_EVERY_S:
            console.print(f"{label}: {line}", highlight=False, soft_wrap=True)
            last, last_at = line, time.monotonic()
    console.print(f"{label}: {_outcome(job)}", highlight=False, soft_wrap=True)
    return job


class Pace:
    """How many steps a second a job does, as seen from here over the last seconds."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def words(self, job: JSON) -> tuple[str, ...]:
        progress = job.get("progress") or {}
        if job["status"] != "running" or not progress.get("total"):
            self._marks.clear()
            return ()
        now, step = time.monotonic(), int(progress["step"])
        if self._marks and step < self._marks[-1][1]:  # another attempt, from its checkpoint on
            self._marks.clear()
        self._marks.append((now, step))
        while now - self._marks[0][0] > _RATE_OVER_S:
            self._marks.popleft()
        began, first = self._marks[0]
        return (f"{(step - first) / (now - began):.3g} steps/s",) if step > first and now > began else ()


def describe(job: JSON) -> str:
    """Where a job is, in a few words."""
    progress = job.get("progress") or {}
    if job["status"] == "queued":
        ahead = job.get("queue_position")
        if not ahead:
            return "queued" if ahead is None else "queued, next in turn"
        return f"queued, {ahead} ahead" if ahead < MOST_AHEAD else f"queued, {ahead} or more ahead"
    if job["status"] != "running":
        return str(job["status"])
    if not progress.get("total"):
        return str(progress.get("phase", "starting"))
    words = [f"step {progress['step']}/{progress['total']}"]
    words += [f"{name} {value:.4g}" for name, value in list((progress.get("losses") or {}).items())[:4]]
    if progress.get("seconds_left") is not None:
        words.append(f"{progress['seconds_left']:.0f} s left")
    return "  ".join(words)


def _outcome(job: JSON) -> str:
    seconds = (job.get("result") or {}).get("seconds")
    took = f" in {seconds:.1f} s" if isinstance(seconds, int | float) else ""
    return f"{job.get('status', 'unknown')}{took}"


def half_blocks(picture: Image.Image, *, columns: int) -> Text:
    """A picture for the terminal: each character shows two pixels, one above the other."""
    width = min(columns, picture.width)
    height = max(2, round(picture.height * width / picture.width / 2) * 2)
    pixels = np.asarray(picture.convert("RGB").resize((width, height), Image.Resampling.NEAREST))
    text = Text(no_wrap=True)
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        for above, below in zip(upper, lower, strict=True):
            text.append("▀", style=f"rgb({_csv(above)}) on rgb({_csv(below)})")
        text.append("\n")
    return text


def _csv(pixel: Any) -> str:
    return ",".join(str(int(value)) for value in pixel)
