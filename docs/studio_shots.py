"""Take the studio's pictures in docs/, of a service that is started for it, in Debian's Chromium.

make shots
"""

import contextlib
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent / "tests"), str(DOCS.parent / "tests" / "acceptance")]

import browser  # noqa: E402
import places  # noqa: E402

SEED = "7"
LONG_MS = 900_000
PHONE = {"width": 360, "height": 740}
TYRES = ((0.18, 0.6, 0.38, 0.6), (0.64, 0.6, 0.84, 0.6))


def shot(page: Any, name: str) -> None:
    page.wait_for_timeout(800)  # what fades has faded
    page.screenshot(path=DOCS / f"studio-{name}.png")
    print(f"studio-{name}.png", flush=True)


def draw(page: Any) -> None:
    page.set_default_timeout(LONG_MS)
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
    browser.slide(page, "larger wheels", 25)
    page.wait_for_selector("#vector-picture[data-exact=true][src*='picture_000_00']")
    shot(page, "vectors")


def annotating(page: Any) -> None:
    page.click("nav [data-view=annotate]")
    page.click("#suggest")
    page.wait_for_selector("#annotated", state="visible")
    page.click("#annotated-done")
    shot(page, "annotate")


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """The address of a service with nothing in it but what is bundled."""
    with tempfile.TemporaryDirectory() as folder:
        place = places.make_place(Path(folder) / "data")
        process = place.start()
        try:
            place.until_ready(process)
            yield str(place.folder.running_address())
        finally:
            places.finish(process, signal.SIGTERM)


def main() -> None:
    with serving() as address, browser.chromium() as chromium:
        with browser.studio(chromium, address) as page:
            for part in (editing, vectors, annotating):
                part(page)
        with browser.studio(chromium, address, viewport=PHONE, device_scale_factor=2) as page:
            draw(page)
            shot(page, "phone")


if __name__ == "__main__":
    main()
