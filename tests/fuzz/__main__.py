"""Reads inputs made by dice, at every entry, and tells what became of them: `make fuzz RUNS=100000`.

A crash of the process, an error that is no refusal, a reading of over 10 s, or more than 1 GiB of memory is a
failure; its input is written to fuzz-out/. With --sandbox each input goes through the processes that read
strangers' files, and must come back as it would have here; manifests, tars and specs are text, and have none.
"""

import argparse
import sys
import warnings
from pathlib import Path

import coverage

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("picture", "mask", "manifest", "tar", "spec", "importer")
SANDBOXED = ("picture", "mask", "importer")


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("entry", nargs="*", default=list(NAMES), help=", ".join(NAMES))
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sandbox", action="store_true", help=f"in processes: {', '.join(SANDBOXED)}")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    folders = [str(ROOT / name) for name in ("storage", "gpu_ops/importers", "workers/bulk")]
    measured = coverage.Coverage(data_file=None, source=folders)
    measured.start()  # before what it measures is imported
    from fuzz.running import fuzz

    names = [name for name in asked.entry if not asked.sandbox or name in SANDBOXED]
    return sum(fuzz(name, asked.runs, asked.seed, asked.sandbox, measured) for name in names)


if __name__ == "__main__":
    sys.exit(main() > 0)
