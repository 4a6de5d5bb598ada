"""make chaos, and everything beside it.

python -m chaos                            every fault in its short form
python -m chaos run kill --runs 200        the long form: runs with seeds 0 to 199 that are not yet done
python -m chaos run kill --seed 17         one seed, again
python -m chaos list | report [--write]
"""

import argparse
import sys
import time

from chaos import ledger, report, runner
from chaos.checks import Fault
from chaos.faults.all import FAULTS


def main() -> int:
    options = _options()
    match options.what:
        case "list":
            for fault in FAULTS:
                print(f"{fault.name:18} bar {fault.bar:4}  {fault.story}")
        case "report":
            if options.write:
                report.write(FAULTS)
            print(report.table(FAULTS))
        case _:
            chosen = [fault for fault in FAULTS if not options.faults or fault.name in options.faults]
            unknown = set(options.faults) - {fault.name for fault in FAULTS}
            if unknown:
                sys.exit(f"unknown faults: {', '.join(sorted(unknown))}")
            held = [_run(fault, options) for fault in chosen]
            return 0 if all(held) else 1
    return 0


def _run(fault: Fault, options: argparse.Namespace) -> bool:
    """Whether nothing was violated."""
    reason = fault.needs()
    if reason:
        print(f"{fault.name}: not here: {reason}")
        return False
    long = options.runs is not None
    seeds = range(options.runs or fault.short)
    if options.seed is not None:
        seeds = range(options.seed, options.seed + 1)
    began, good = time.monotonic(), True
    for record in runner.run(fault, seeds, long=long):
        good = good and not record.violations
        figures = " ".join(f"{name} {value:g}" for name, value in record.figures.items())
        print(f"{fault.name} seed {record.seed} {record.stack} {record.seconds:.1f} s {figures}", flush=True)
        for violation in record.violations:
            print(f"    VIOLATED {violation}", flush=True)
    print(f"{fault.name}: {'holds' if good else 'VIOLATED'}, {time.monotonic() - began:.0f} s", flush=True)
    if long:
        good = good and not any(record.violations for record in ledger.records(fault.name, long=True))
    return good


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__.splitlines()[0])
    parser.set_defaults(what="run", faults=[], runs=None, seed=None)
    commands = parser.add_subparsers(dest="what")
    run = commands.add_parser("run")
    run.add_argument("faults", nargs="*")
    run.add_argument("--runs", type=int, help="the long form, with so many runs in all")
    run.add_argument("--seed", type=int, help="only this seed")
    commands.add_parser("list")
    commands.add_parser("report").add_argument(
        "--write", action="store_true", help="into docs/reliability.md"
    )
    options = parser.parse_args()
    options.what = options.what or "run"
    return options


if __name__ == "__main__":
    sys.exit(main())
