"""Take the studio's pictures in docs/ from a running service, in Debian's Chromium.

editq up &
python docs/studio_shots.py http://127.0.0.1:8000
"""

import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "tests"))

import browser  # noqa: E402

SEED = "7"
LONG_MS = 600_000
TYRES = ((0.18, 0.6, 0.38, 0.6), (0.64, 0.6, 0.84, 0.6))


def shot(page: Any, name: str) -> None:
    page.wait_for_timeout(800)  # what fades has faded
    page.screenshot(path=DOCS / f"studio-{name}.png")
    print(f"studio-{name}.png", flush=True)


def draw(page: Any) -> None:
    page.fill("#seed", SEED)
    page.click("text=Draw")
    page.wait_for_selector("#mask", state="visible")


def editing(page: Any) -> None:
    """A mask that was painted, the optimisation on its way, and what came of it."""
    draw(page)
    page.click("label[title=tyre]")
    browser.paint(page, "#mask", *TYRES)
    page.click("#edit")
    page.wait_for_selector("img.live[src]")
    page.wait_for_selector("text=/Step [2-9][0-9] of/")
    shot(page, "live")
    page.click(".tabs >> text=Mask")
    shot(page, "edit")
    page.wait_for_selector("#go-on")
    shot(page, "result")


def vectors(page: Any) -> None:
    page.click("nav [data-view=vectors]")
    page.click(".card:has-text('larger wheels')")
    page.focus(".slider input")
    for _ in range(25):
        page.keyboard.press("ArrowRight")
    page.wait_for_selector("#vector-picture[data-exact=true][src*='picture_000_00']")
    shot(page, "vectors")


def annotating(page: Any) -> None:
    page.click("nav [data-view=annotate]")
    page.click("#suggest")
    page.wait_for_selector("#annotated", state="visible")
    page.click("#annotated-done")
    shot(page, "annotate")


def main(address: str) -> None:
    with browser.chromium() as chromium:
        with browser.studio(chromium, address) as page:
            page.set_default_timeout(LONG_MS)
            for part in (editing, vectors, annotating):
                part(page)
        with browser.studio(chromium, address, viewport={"width": 360, "height": 740}) as page:
            draw(page)
            shot(page, "phone")
        with browser.studio(chromium, address, color_scheme="dark") as page:
            draw(page)
            shot(page, "dark")


if __name__ == "__main__":
    main(*sys.argv[1:2])
