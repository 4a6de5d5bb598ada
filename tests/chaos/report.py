"""The table of docs/reliability.md, from what the ledgers hold."""

import statistics

from chaos import ledger
from chaos.checks import Fault
from chaos.ledger import Record
from chaos.parts import ROOT

PAGE = ROOT / "docs/reliability.md"
BEGIN, END = "<!-- figures: made by make chaos-report -->", "<!-- end of figures -->"
HEAD = ("fault", "runs", "bar", "seeds", "violations", "figures", "revisions")


def table(faults: list[Fault]) -> str:
    rows = [HEAD, ("---",) * len(HEAD), *(_row(fault) for fault in faults)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def write(faults: list[Fault]) -> None:
    """Put the table between its marks in the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(faults)}\n{END}{after}")


def _row(fault: Fault) -> tuple[str, ...]:
    records = ledger.records(fault.name, long=True)
    violated = [record for record in records if record.violations]
    met = "met" if len(records) >= fault.bar and not violated else "not met"
    seen = sorted({record.revision for record in records})
    return (
        f"`{fault.name}`",
        str(len(records)),
        f"{fault.bar}, {met}",
        _ranges(sorted(record.seed for record in records)),
        str(len(violated)) + (f" (seeds {', '.join(str(r.seed) for r in violated)})" if violated else ""),
        _figures(records),
        ", ".join(seen) or "-",
    )


def _figures(records: list[Record]) -> str:
    """Median and worst of each figure."""
    names = sorted({name for record in records for name in record.figures})
    values = {name: [r.figures[name] for r in records if name in r.figures] for name in names}
    told = (
        f"{name} {statistics.median(v):.3g} (worst {max(v):.3g}, N {len(v)})" for name, v in values.items()
    )
    return "; ".join(told) or "-"


def _ranges(numbers: list[int]) -> str:
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in ranges) or "-"
