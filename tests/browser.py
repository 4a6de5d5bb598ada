"""A real Chromium for tests of the studio: Debian's, driven by playwright."""

import contextlib
import importlib.util
import shutil
from collections.abc import Iterator
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
LONG_MS = 120_000
FINE = ("net::ERR_", "status of 409")  # the service is away; a job has ended before it was to be canceled
SERIOUS = ("serious", "critical")


def missing() -> str | None:
    """What a browser test lacks here."""
    if CHROMIUM is None:
        return "chromium is not installed"
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed"
    return None


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@contextlib.contextmanager
def studio(browser: Any, address: str, **about: Any) -> Iterator[Any]:
    """The studio's page. Whatever the browser finds wrong, the policy's refusals too, fails the test."""
    wrong: list[str] = []
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 800}, **about})
    page.set_default_timeout(LONG_MS)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
    page.goto(f"{address}/studio")
    yield page
    page.close()
    assert [each for each in wrong if not any(fine in each for fine in FINE)] == []


def slide(page: Any, vector: str, steps: int) -> None:
    """Choose a vector, and move its slider by the keyboard."""
    page.click(f".choose:has-text('{vector}')")
    page.focus(".slider input")
    for _ in range(steps):
        page.keyboard.press("ArrowRight")


def paint(page: Any, canvas: str, *strokes: tuple[float, float, float, float]) -> None:
    """Strokes x, y to x, y, as parts of the picture's side, as a hand would do them."""
    box = page.locator(canvas).bounding_box()
    side = min(box["width"], box["height"])
    left, top = box["x"] + (box["width"] - side) / 2, box["y"] + (box["height"] - side) / 2
    for x, y, to_x, to_y in strokes:
        page.mouse.move(left + x * side, top + y * side)
        page.mouse.down()
        page.mouse.move(left + to_x * side, top + to_y * side, steps=12)
        page.mouse.up()


def serious_faults(page: Any) -> list[str]:
    """What axe finds that would keep somebody out."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['target']} {node['failureSummary']}"
        for each in found
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]
