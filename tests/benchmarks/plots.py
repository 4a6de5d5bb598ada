"""The plots of docs/performance.md, of the figures that `make bench BENCH=--commit` has kept.

    PYTHONPATH=.:tests python -m benchmarks.plots

Writes what stands between the page's two marks anew: charts as text, which the site and most viewers draw.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results.json"
PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
MARKS = "<!-- plots: python -m benchmarks.plots -->\n", "<!-- end of plots -->\n"
STEP = re.compile(r"edit step (\d+) px, N = (\d+), region (\d+)%, per picture")
LEG = re.compile(r"leg ([^:]+)")

Values = Mapping[str, float]


def plots(values: Values) -> str:
    """Markdown, of figures by their names; what is not among them is left out."""
    found = [(tuple(map(int, match.groups())), value) for match, value in _matching(STEP, values)]
    middle = sorted({size for (size, _, _), _ in found})[1] if found else 0
    by_size = [(f"{size} px", value) for (size, n, region), value in found if (n, region) == (1, 10)]
    by_items = [(f"N = {n}", value) for (size, n, region), value in found if (size, region) == (middle, 10)]
    by_region = [(f"{region} %", value) for (size, n, region), value in found if (size, n) == (middle, 1)]
    legs = [(match[1], value) for match, value in _matching(LEG, values)]
    charts = [
        chart("A step by resolution (N = 1, a region of 10 %)", "seconds", by_size),
        chart(f"The same of {middle} px by N, per picture", "seconds", by_items),
        chart(f"The same of {middle} px by region (N = 1)", "seconds", sorted(by_region, key=_share)),
        chart("apply by leg", "ms", legs),
    ]
    return "\n".join(each for each in charts if each)


def chart(title: str, unit: str, points: Sequence[tuple[str, float]]) -> str:
    """A bar chart; empty where there are no points."""
    if not points:
        return ""
    names = ", ".join(f'"{name}"' for name, _ in points)
    bars = ", ".join(f"{value:.3g}" for _, value in points)
    top = 1.1 * max(value for _, value in points)
    axes = f'x-axis [{names}]\n    y-axis "{unit}" 0 --> {top:.3g}'
    return f'```mermaid\nxychart-beta\n    title "{title}"\n    {axes}\n    bar [{bars}]\n```\n'


def replaced(page: str, between: str) -> str:
    begin, end = (page.index(mark) for mark in MARKS)
    return page[: begin + len(MARKS[0])] + between + page[end:]


def values_of(results: Path) -> Values:
    return {figure["name"]: figure["value"] for figure in json.loads(results.read_text())}


def _matching(pattern: re.Pattern[str], values: Values) -> list[tuple[re.Match[str], float]]:
    return [(match, value) for name, value in values.items() if (match := pattern.fullmatch(name))]


def _share(point: tuple[str, float]) -> int:
    return int(point[0].split()[0])


if __name__ == "__main__":
    PAGE.write_text(replaced(PAGE.read_text(), plots(values_of(RESULTS))))
