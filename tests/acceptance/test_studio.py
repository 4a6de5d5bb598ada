"""The studio in a real browser, with the whole service and the bundled model behind it."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import browser as chromium
import pytest
from places import ROOT, Place, finish, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(chromium.missing() is not None, reason=str(chromium.missing())),
]


@pytest.fixture
def up(place: Place) -> Iterator[Place]:
    process = place.start(EDITQ_THREADS="1")
    place.until_ready(process)
    yield place
    finish(process, signal.SIGTERM)


@pytest.fixture
def browser() -> Iterator[Any]:
    with chromium.chromium() as started:
        yield started


@pytest.fixture
def page(browser: Any, up: Place) -> Iterator[Any]:
    with chromium.studio(browser, str(up.folder.running_address())) as opened:
        yield opened


def draw(page: Any, seed: int) -> None:
    page.fill("#seed", str(seed))
    page.click("text=Draw")
    page.wait_for_selector("#mask", state="visible")


def paint_tyres(page: Any) -> None:
    """Widen the tyres along their upper edges, as a hand would."""
    page.click("label[title=tyre]")
    chromium.paint(page, "#mask", (0.18, 0.6, 0.38, 0.6), (0.64, 0.6, 0.84, 0.6))


def test_a_sample_is_painted_edited_and_moved_by_a_vector(page: Any, up: Place) -> None:
    draw(page, 7)
    assert page.locator("#edit").is_disabled()
    paint_tyres(page)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+Shift+z")
    page.select_option("#edit-steps", "60")
    page.click("#edit")
    page.wait_for_selector(".plot polyline", state="attached")
    page.wait_for_selector("#go-on", state="visible")

    with up.client() as client:
        (edit,) = [job for job in client.jobs() if job["kind"] == "edit"]
        assert edit["status"] == "succeeded", edit["error"]
        before, after = (client.output(edit["id"], name) for name in ("inverted.png", "edited.png"))
        assert before != after
        assert edit["result"]["iou_after"] > edit["result"]["iou_before"]

    page.click("#go-on")
    page.click("nav >> text=Vectors")
    page.click(".choose:has-text('larger wheels')")
    original = page.get_attribute("#vector-picture", "src")
    page.focus(".slider input")
    for _ in range(25):
        page.keyboard.press("ArrowRight")
    page.wait_for_selector("#vector-picture[data-exact=true][src*='picture_000_00']")
    moved = page.get_attribute("#vector-picture", "src")
    assert moved != original
    until(lambda: page.evaluate("document.querySelector('#vector-picture').naturalWidth") > 0)
    with up.client() as client:
        done = [j for j in client.jobs() if j["kind"] == "apply" and j["id"] in moved]
        assert done[0]["spec"]["vectors"][0]["amount"] == "+25 %"
        assert client.output(done[0]["id"], "picture_000_00.png") != after


def test_an_inversion_of_a_photograph_is_canceled_in_mid_run_and_stopped_early(page: Any, up: Place) -> None:
    page.select_option("#steps", "1000")
    page.set_input_files("#file", str(ROOT / "examples" / "car.jpg"))
    page.wait_for_selector("text=/Step [0-9]+ of 1000/")
    page.click(".run >> text=Cancel")
    page.wait_for_selector("text=Canceled.")
    page.set_input_files("#file", str(ROOT / "examples" / "car.jpg"))
    page.wait_for_selector("text=/Step [0-9]+ of 1000/")
    page.click("text=Stop, keep the best")
    page.wait_for_selector("#mask", state="visible")
    with up.client() as client:
        jobs = [job for job in client.jobs() if job["kind"] == "invert"]
    assert [job["status"] for job in jobs] == ["succeeded", "canceled"]
    assert jobs[0]["result"]["stopped_early"] is True
    page.click("nav >> text=Jobs")
    page.wait_for_selector(".status.canceled")


def test_painting_outlives_a_reload_and_the_page_a_restart_of_the_api(page: Any, up: Place) -> None:
    draw(page, 3)
    paint_tyres(page)
    until(lambda: page.evaluate("localStorage.getItem('editq.painting')") is not None)
    page.reload()
    page.wait_for_selector("#mask", state="visible")
    until(lambda: page.locator("#edit").is_enabled())

    page.select_option("#edit-steps", "60")
    page.click("#edit")
    page.wait_for_selector("text=/Step [0-9]+ of 60/")
    os.kill(up.folder.read()["processes"]["api"]["pid"], signal.SIGKILL)
    page.wait_for_selector("#go-on", state="visible")

    page.click("nav >> text=Jobs")
    page.wait_for_selector(".status.succeeded")
    page.context.set_offline(True)
    page.wait_for_selector("#away", state="visible")
    assert page.locator(".status.succeeded").count() > 0
    page.context.set_offline(False)
    page.wait_for_selector("#away", state="hidden")


@pytest.mark.parametrize(("width", "height"), [(360, 740), (3840, 2160)])
def test_nothing_is_cut_off_on_small_and_large_screens(page: Any, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    draw(page, 1)
    for view in ("Edit", "Vectors", "Annotate", "Jobs", "Batches"):
        page.click(f"nav >> text={view}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_key_is_entered_once_and_pictures_events_and_downloads_come_with_it(
    browser: Any, place: Place
) -> None:
    process = place.start(EDITQ_THREADS="1", EDITQ_KEYS_REQUIRED="true")
    place.until_ready(process)
    key = place.folder.key()
    assert key is not None
    asked: list[str] = []
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(chromium.LONG_MS)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{place.folder.running_address()}/studio")
    page.fill("#key", "swordfish")
    page.click("#key-dialog >> text=Use it")
    page.wait_for_selector("#key-dialog >> text=This is no API key")
    page.fill("#key", key)
    page.click("#key-dialog >> text=Use it")
    page.wait_for_selector("#key-dialog", state="detached")

    draw(page, 7)
    page.click("nav >> text=Jobs")
    page.wait_for_selector(".status.succeeded")
    until(lambda: page.evaluate("document.querySelector('img.thumb')?.naturalWidth") > 0)
    assert page.get_attribute("img.thumb", "src").startswith("blob:")
    page.click("nav >> text=Vectors")
    until(lambda: page.evaluate("document.querySelector('.card img')?.naturalWidth") > 0)

    assert any(url.endswith("/events") for url in asked)
    assert not any("editq_" in url or key[-20:] in url for url in asked)
    page.reload()
    page.wait_for_selector("#forget-key")
    assert page.locator("#key-dialog").count() == 0
    page.click("#forget-key")
    page.wait_for_selector("#key-dialog")
    finish(process, signal.SIGTERM)
