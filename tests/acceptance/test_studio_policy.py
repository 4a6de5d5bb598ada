"""The studio's content security policy holds through all its pages, and refuses nothing that they do."""

import signal
from collections.abc import Iterator
from typing import Any

import browser as chromium
import pytest
from places import ROOT, Place, finish, until
from test_studio import draw, paint_tyres

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(chromium.missing() is not None, reason=str(chromium.missing())),
]
LISTENER = """
document.addEventListener("securitypolicyviolation", (event) => {
  tellViolation(`${event.effectiveDirective} ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`);
});
"""


@pytest.fixture(params=[False, True], ids=["without keys", "with keys"])
def up(request: pytest.FixtureRequest, place: Place) -> Iterator[Place]:
    """With keys the studio shows pictures as blobs, and saves files from them."""
    keys = {"EDITQ_KEYS_REQUIRED": "true"} if request.param else {}
    process = place.start(EDITQ_THREADS="1", **keys)
    place.until_ready(process, 180.0)
    yield place
    finish(process, signal.SIGTERM)


def test_no_page_of_the_studio_violates_its_policy(up: Place) -> None:
    address, violations = str(up.folder.running_address()), []
    with chromium.chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(chromium.LONG_MS)
        page.expose_function("tellViolation", lambda told: violations.append(told))
        page.add_init_script(LISTENER)
        page.goto(f"{address}/")
        policy = page.goto(f"{address}/studio").headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        if key := up.folder.key():
            page.fill("#key", key)
            page.click("#key-dialog >> text=Use it")
            page.wait_for_selector("#key-dialog", state="detached")
        every_page(page)
        page.reload()
        page.wait_for_selector("#mask", state="visible")
        assert violations == []
        page.goto(f"{address}/docs/swagger")
        page.wait_for_selector(".opblock")
        assert violations == []

        page.goto(f"{address}/studio")  # what a violation looks like: the listener hears it
        page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: '1'}))")
        until(lambda: page.evaluate("1") and violations)
        assert violations[0].startswith("script-src")


def every_page(page: Any) -> None:
    """Edit, gone on from, saved, inverted; vectors moved; annotated; jobs and batches; the dialogs."""
    draw(page, 7)
    paint_tyres(page)
    page.select_option("#edit-steps", "60")
    page.click("#edit")
    page.wait_for_selector(".plot polyline", state="attached")
    page.wait_for_selector("#go-on", state="visible")
    with page.expect_download() as saved:
        page.click("#zip")
    assert saved.value.path().stat().st_size > 1000
    with page.expect_download() as saved:
        page.click("a[download='edited.png']")
    assert saved.value.path().read_bytes().startswith(b"\x89PNG")
    page.click("#learn")
    page.keyboard.press("Escape")
    page.click("#go-on")
    page.set_input_files("#file", str(ROOT / "examples" / "car.jpg"))
    page.wait_for_selector("text=/Step [0-9]+ of/")
    page.click("text=Stop, keep the best")
    page.wait_for_selector("#mask", state="visible")
    page.click("#help")
    page.keyboard.press("Escape")

    page.click("nav >> text=Vectors")
    chromium.slide(page, "larger wheels", 5)
    page.wait_for_selector("#vector-picture[data-exact=true]")
    page.click("nav >> text=Annotate")
    page.fill("#annotate-count", "2")
    page.click("#suggest")
    page.wait_for_selector("#annotated", state="visible")
    page.click("nav >> text=Jobs")
    page.wait_for_selector(".status.succeeded")
    until(lambda: page.evaluate("document.querySelector('img.thumb')?.naturalWidth") > 0)
    page.click("nav >> text=Batches")
    page.wait_for_timeout(500)
    page.click("nav >> text=Edit")
    page.wait_for_selector("#mask", state="visible")
