"""All benchmarks that this machine can run, as one table; `make bench`.

    PYTHONPATH=.:tests python -m benchmarks [--short] [--only NAME ...] [--out bench-out]

Each runs in a process of its own, so that none inherits another's memory, threads or environment. Writes
OUT/results.json, a list of figures, and compares them with tests/benchmarks/results.json, committed last.
What does not run here (no PostgreSQL, say) is told of and left out. --commit writes that file anew; with
--only it replaces the figures that were found, and the others stay.
"""

import argparse
import importlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import written

NAMES = ("edit_step", "roofline", "service", "legs", "queueing")
LAST = Path(__file__).parent / "results.json"
STOPPING_S = 30
LONGEST_S = {"edit_step": 560, "roofline": 100, "service": 320, "legs": 40, "queueing": 480}  # 25 minutes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    parser.add_argument("--commit", action="store_true", help="keep the figures as those to compare with")
    parser.add_argument("--one", choices=NAMES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        written(importlib.import_module(f"benchmarks.{asked.one}").measured(short=asked.short), asked.out)
        return 0
    found: list[dict[str, Any]] = []
    failed = [name for name in asked.only if not run(name, asked.out, found, short=asked.short)]
    results = asked.out / "results.json"
    results.write_text(json.dumps(found, indent=1) + "\n")
    last: list[dict[str, Any]] = json.loads(LAST.read_text()) if LAST.exists() else []
    Console().print(table(found, last))
    if asked.commit:
        others = [] if set(asked.only) == set(NAMES) else last
        LAST.write_text(json.dumps(kept(others, found), indent=1) + "\n")
    return 1 if failed else 0


def run(name: str, out: Path, found: list[dict[str, Any]], *, short: bool) -> bool:
    """Add the figures of a benchmark; False where it did not run to its end."""
    out.mkdir(parents=True, exist_ok=True)
    part = out / f"{name}.json"
    part.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks", "--one", name, "--out", str(part)]
    began = time.monotonic()
    try:
        _to_its_end([*command, *(["--short"] if short else [])], LONGEST_S[name])
    except (subprocess.SubprocessError, OSError) as error:
        print(f"{name} did not run to its end: {error}", file=sys.stderr)
        return False
    finally:
        found += json.loads(part.read_text()) if part.exists() else []  # what it had, if it was cut off
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return True


def _to_its_end(command: list[str], longest_s: float) -> None:
    """Run it; what takes too long is interrupted, so that it stops its servers. Raises SubprocessError."""
    with subprocess.Popen(command) as process:
        try:
            status = process.wait(longest_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOPPING_S)
            finally:
                process.kill()
            raise
    if status:
        raise subprocess.CalledProcessError(status, command)


def kept(others: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The figures found, after those of other names."""
    names = {each["name"] for each in found}
    return [each for each in others if each["name"] not in names] + found


def table(found: list[dict[str, Any]], last: list[dict[str, Any]]) -> Table:
    before = {each["name"]: each for each in last}
    shown = Table("what", "value", "unit", "against", "ratio", "spread", "last")
    for each in found:
        spread = "" if each["spread"] is None else "{:.3g} to {:.3g}".format(*each["spread"])
        old = before.get(each["name"], {}).get("value")
        cells = [number(each[key]) for key in ("baseline", "ratio")]
        shown.add_row(each["name"], number(each["value"]), each["unit"], *cells, spread, number(old))
    return shown


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    sys.exit(main())
