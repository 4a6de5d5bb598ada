"""What the runs came to, kept as JSON lines: one file per fault, one line per run with its seed.

chaos-out/<fault>.jsonl        the long form: a target goes on with the runs that are missing
chaos-out/short/<fault>.jsonl  the short form: written anew each time

(CHAOS_OUT names another folder.)
"""

import json
import os
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from chaos.parts import ROOT

OUT = Path(os.environ.get("CHAOS_OUT", ROOT / "chaos-out"))


@dataclass(frozen=True)
class Record:
    fault: str
    seed: int
    stack: str
    violations: list[str]
    figures: dict[str, float]
    seconds: float
    revision: str
    at: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def path_of(fault: str, *, long: bool) -> Path:
    return (OUT if long else OUT / "short") / f"{fault}.jsonl"


def begin(fault: str, *, long: bool) -> set[int]:
    """The seeds that need no run any more."""
    path = path_of(fault, long=long)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not long:
        path.unlink(missing_ok=True)
    return {record.seed for record in records(fault, long=long)}


def add(record: Record, *, long: bool) -> None:
    with path_of(record.fault, long=long).open("a") as file:
        file.write(json.dumps(asdict(record)) + "\n")


def records(fault: str, *, long: bool) -> list[Record]:
    path = path_of(fault, long=long)
    lines = path.read_text().splitlines() if path.exists() else []
    return [Record(**json.loads(line)) for line in lines if line.endswith("}")]


def revision() -> str:
    """The commit that is tested, with a + where the working tree differs from it."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"]
    told = subprocess.run(git, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"
