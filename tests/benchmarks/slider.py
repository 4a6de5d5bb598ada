"""From a slider's move to the new picture decoded on screen, in ms: a running service, Debian's Chromium.

    editq up &
    PYTHONPATH=tests python tests/benchmarks/slider.py http://127.0.0.1:8000 --moves 100

Two vectors' sliders are moved, to pairs that were not asked for before. Then one alone, within its sweep.
At 64 px the new picture comes losslessly with the job's progress, before its files are saved; with two
vectors nothing else can be shown in between.
"""

import argparse
import os
import statistics
from typing import Any

import browser

MOVED = """async ([which, value]) => {
  const image = document.querySelector("#vector-picture");
  const slider = document.querySelectorAll(".slider input")[which];
  const shown = () => image.dataset.shows ?? image.src;
  const [before, start] = [shown(), performance.now()];
  slider.value = value;
  slider.dispatchEvent(new Event("input"));
  const handled = shown() !== before && image.complete ? performance.now() - start : null;
  const once = async (there) => {
    while (!there()) await new Promise((resume) => setTimeout(resume, 1));
    await image.decode().catch(() => null);  // another one took its place meanwhile
    await new Promise(requestAnimationFrame);
    return performance.now() - start;
  };
  const seen = await once(() => shown() !== before);
  return [seen, await once(() => image.dataset.exact === "true"), handled];
}"""
WIDTH = 19


def moves(count: int) -> list[list[int | str]]:
    """Slider and value, one after the other, so that no pair of values comes twice."""
    made: list[list[int | str]] = []
    for row in range(1, count // WIDTH + 2):
        way = range(1, WIDTH + 1) if row % 2 else range(WIDTH, 0, -1)
        made += [[1, str(row)], *([0, str(value)] for value in list(way)[row > 1 :])]
    return made[:count]


def choose(page: Any, *vectors: str) -> None:
    for vector in vectors:
        page.click(f".card:has-text('{vector}')")


def figures(name: str, times_ms: list[float]) -> None:
    ordered = sorted(times_ms)
    p95 = ordered[int(0.95 * (len(ordered) - 1))]
    print(f"{name}: N {len(ordered)}, median {statistics.median(ordered):.0f} ms, p95 {p95:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--moves", type=int, default=100)
    asked = parser.parse_args()
    print("load before:", os.getloadavg())
    with browser.chromium() as chromium, browser.studio(chromium, asked.address) as page:
        page.fill("#seed", "7")
        page.click("text=Draw")
        page.wait_for_selector("#mask", state="visible")
        page.click("nav [data-view=vectors]")
        choose(page, "larger wheels", "longer body")
        times = [page.evaluate(MOVED, move) for move in moves(asked.moves + 5)][5:]  # the model is loaded
        figures("move to the new picture", [seen for seen, _, _ in times])
        figures("move to the job's end, its picture fetched and its mask", [ended for _, ended, _ in times])
        choose(page, "longer body")
        page.wait_for_timeout(5000)  # the sweep is drawn
        low, high = (float(page.get_attribute(".slider input", end)) for end in ("min", "max"))
        steps = [*range(1, 16), *range(14, 0, -1)]  # frames of the sweep that lie beside each other
        within = [page.evaluate(MOVED, [0, str(low + (high - low) * step / 15)]) for step in steps]
        figures("scrubbing within the sweep", [seen for seen, _, _ in within])
        handled = [taken for _, _, taken in within if taken is not None]
        figures("of it, until the page's own work was done, the picture set and complete", handled)
    print("load after:", os.getloadavg())


if __name__ == "__main__":
    main()
