"""What every benchmark has in common: figures, two ways timed in turn, and where they were taken."""

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "celery", "redis", "sqlalchemy", "numpy")


@dataclass(frozen=True)
class Figure:
    """One measured value: the median of its runs.

    baseline, ratio  what it is compared with in the same run, in the same unit, and how often the one goes
                     into the other: above 1, faster or smaller than that (`over`: times as long)
    spread           least and most of the runs
    """

    name: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    machine: str = field(default_factory=lambda: machine())
    versions: dict[str, str] = field(default_factory=lambda: versions())


def of_runs(
    name: str, runs: Sequence[float], unit: str, baseline: Sequence[float] = (), *, over: bool = False
) -> Figure:
    """The figure of several runs, its ratio the median of the ratios of runs that stood side by side."""
    value, spread = statistics.median(runs), (min(runs), max(runs))
    if not baseline:
        return Figure(name, value, unit, spread=spread)
    pairs = zip(runs, baseline, strict=True)
    ratios = [mine / theirs if over else theirs / mine for mine, theirs in pairs]
    return Figure(name, value, unit, statistics.median(baseline), statistics.median(ratios), spread)


@dataclass(frozen=True)
class Times:
    """Seconds of each run, by the clock and of the processor."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def in_turn(ways: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, Times]:
    """Times of each way, called one after the other in every round: load that comes and goes meets all."""
    times = {name: Times() for name in ways}
    for _ in range(rounds):
        for name, call in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            times[name].wall.append(time.perf_counter() - wall)
            times[name].cpu.append(time.process_time() - cpu)
    return times


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def figures_of_child(module: str, *arguments: str) -> dict[str, Any]:
    """What `python -m benchmarks.<module>` prints last, as JSON: for figures of a whole process."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def most_held_bytes() -> int:
    """What this process has held at most. (getrusage's figure begins with the parent's, at least.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def processor_time() -> tuple[int, ...]:
    """Of all cores since the machine began, by what it went into, in ticks; empty where none are told of."""
    told = Path("/proc/stat")
    return tuple(map(int, told.read_text().splitlines()[0].split()[1:9])) if told.exists() else ()


def share_stolen(since: tuple[int, ...]) -> float:
    """The share of the time since then that these cores were ready to run, and the host let others run: a
    virtual machine that is idle otherwise is not so to its clients."""
    spent = [now - then for now, then in zip(processor_time(), since, strict=True)]
    return spent[7] / max(1, sum(spent)) if spent else 0.0


def machine() -> str:
    """Processor, cores, and how busy others kept them when the figure was taken."""
    name = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            name = line.partition(":")[2].strip()
            break
    return f"{name}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}"


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):  # a machine for GPU figures has no service
            found[name] = version(name)
    return found


def written(figures: Iterable[Figure], path: Path) -> None:
    """Each as soon as it is known: what is cut off loses no figure that it had."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = []
    for figure in figures:
        found.append(asdict(figure))
        path.write_text(json.dumps(found, indent=1) + "\n")
