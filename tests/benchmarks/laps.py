"""Laps of two ways of doing the same in turn, on a machine that may do other things meanwhile."""

import contextlib
import json
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def tell(**figures: Any) -> None:
    print(json.dumps(figures), flush=True)


class Laps:
    """Laps of two ways in turn. rates: items a second; computing_s: processor time of this process and
    of those below it, which decode; coreless_s: how long the loop's thread could go on and had no core,
    because of others on the machine, or of its own helpers."""

    def __init__(self) -> None:
        self.rates: dict[str, list[float]] = {"bulk": [], "bare": []}
        self.computing_s: dict[str, list[float]] = {"bulk": [], "bare": []}
        self.coreless_s: dict[str, list[float]] = {"bulk": [], "bare": []}
        self._alone: dict[str, list[float]] = {"bulk": [], "bare": []}

    @contextlib.contextmanager
    def lap(self, way: str, items: int) -> Iterator[None]:
        began, computed_s, coreless_s = time.perf_counter(), _computing_s(), _coreless_s()
        yield
        took_s, coreless_s = time.perf_counter() - began, _coreless_s() - coreless_s
        self.rates[way].append(round(items / took_s, 3))
        self.coreless_s[way].append(round(coreless_s, 3))
        self._alone[way].append(items / (took_s - coreless_s))
        self.computing_s[way].append(round(_computing_s() - computed_s, 3))

    def tell(self, kind: str, width: int) -> None:
        ratios, alone = (
            [bulk / bare for bulk, bare in zip(*rates.values(), strict=True)]
            for rates in (self.rates, self._alone)
        )
        bulk_s, bare_s = (sum(1 / rate for rate in self.rates[way]) for way in ("bulk", "bare"))
        computing = [bare / bulk for bulk, bare in zip(*self.computing_s.values(), strict=True)]
        tell(
            kind=kind,
            width=width,
            ratio=round(statistics.median(ratios), 3),
            ratio_of_all_laps=round(bare_s / bulk_s, 3),
            ratio_with_a_core_at_all_times=round(statistics.median(alone), 3),
            ratio_of_computing=round(statistics.median(computing), 3),
            ratios=[round(each, 3) for each in ratios],
            rates=self.rates,
            computing_s=self.computing_s,
            coreless_s=self.coreless_s,
        )


def _computing_s() -> float:
    """Processor time so far of this process, and of its children: those that ended, and those that run."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in _below(os.getpid())]
    ticks = sum(int(stat[11]) + int(stat[12]) for stat in stats)
    return sum(os.times()[:4]) + ticks / os.sysconf("SC_CLK_TCK")


def _coreless_s() -> float:
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


def _below(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    children = [int(child) for text in lists for child in text.split()]
    return children + [pid for child in children for pid in _below(child)]
