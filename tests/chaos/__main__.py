"""make chaos, and everything beside it.

python -m chaos                            every fault in its short form
python -m chaos run kill --runs 200        the long form: runs with seeds 0 to 199 that are not yet done
python -m chaos run kill --seed 17         one seed, again
python -m chaos list | report [--write]
"""

import argparse
import signal
import sys
import time
import traceback

from chaos import ledger, report
from chaos.checks import Fault
from chaos.faults.all import FAULTS
from chaos.ledger import Record
from chaos.runner import Turn, Worlds, run, turns


def main() -> int:
    options = _options()
    match options.what:
        case "list":
            for fault in FAULTS:
                print(f"{fault.name}: {fault.story}.\n    {fault.promise}. Bar: {fault.bar} runs")
        case "report":
            if options.write:
                report.write(FAULTS)
            print(report.table(FAULTS))
        case _:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is stopped
            return 0 if _run_all(_chosen(options.faults), options.runs, options.seed) else 1
    return 0


def _chosen(names: list[str]) -> list[Fault]:
    unknown = set(names) - {fault.name for fault in FAULTS}
    if unknown:
        sys.exit(f"unknown faults: {', '.join(sorted(unknown))}; `python -m chaos list` has them all")
    return [fault for fault in FAULTS if not names or fault.name in names]


def _run_all(faults: list[Fault], runs: int | None, seed: int | None) -> bool:
    """Whether all could be run, and nothing was violated."""
    began, long = time.monotonic(), runs is not None
    impossible = {fault.name: reason for fault in faults if (reason := fault.needs())}
    faults = [fault for fault in faults if fault.name not in impossible]
    seeds = {fault.name: _seeds(fault, runs, seed) for fault in faults}
    told: dict[str, list[str]] = {fault.name: [] for fault in faults}
    with Worlds(long=long) as worlds:
        for turn in turns(faults, seeds):
            told[turn.fault.name] += _run(turn, worlds, keep=seed is None, long=long)
    for fault in faults:
        earlier = ledger.records(fault.name, long=long) if long else []
        violated = any(told[fault.name]) or any(record.violations for record in earlier)
        print(f"{fault.name:18} {'VIOLATED' if violated else 'holds'}")
        told[fault.name] += ["earlier"] if violated else []
    for name, reason in impossible.items():
        print(f"{name:18} not run: {reason}")
    print(f"{time.monotonic() - began:.0f} s")
    return not impossible and not any(map(any, told.values()))


def _seeds(fault: Fault, runs: int | None, seed: int | None) -> list[int]:
    """Those that are asked for, less those that the ledger of the long form has already."""
    if seed is not None:
        return [seed]
    done = ledger.begin(fault.name, long=runs is not None)
    return [number for number in range(runs or fault.short) if number not in done]


def _run(turn: Turn, worlds: Worlds, *, keep: bool, long: bool) -> list[str]:
    """The violations. The other faults have their turn even where the harness itself fails at one."""
    violations = []
    try:
        for record in run(turn, worlds):
            _tell(record)
            violations += record.violations
            if keep:
                ledger.add(record, long=long)
    except Exception:  # noqa: BLE001
        traceback.print_exc()
        violations.append("the harness failed")
    return violations


def _tell(record: Record) -> None:
    figures = " ".join(f"{name} {value:g}" for name, value in record.figures.items())
    print(f"{record.fault} seed {record.seed} {record.stack} {record.seconds:.1f} s {figures}", flush=True)
    for violation in record.violations:
        print(f"    VIOLATED {violation}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description="Break things, and see that nothing is lost.")
    parser.set_defaults(what="run", faults=[], runs=None, seed=None)
    commands = parser.add_subparsers(dest="what")
    run = commands.add_parser("run")
    run.add_argument("faults", nargs="*")
    run.add_argument("--runs", type=int, help="the long form, with so many runs in all")
    run.add_argument("--seed", type=int, help="only this seed, whose record is not kept")
    commands.add_parser("list")
    commands.add_parser("report").add_argument("--write", action="store_true", help="into the page, too")
    options = parser.parse_args()
    options.what = options.what or "run"
    return options


if __name__ == "__main__":
    sys.exit(main())
