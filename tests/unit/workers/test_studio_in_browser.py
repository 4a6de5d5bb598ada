"""The studio in a real browser over a tiny model: short, so that CI looks at it every time. The long one is
tests/acceptance/test_studio.py."""

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import pytest
from service_trial import serving
from worker_trial import Trial

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(
        browser.missing() is not None and os.environ.get("CI") != "true", reason=str(browser.missing())
    ),
]
MASK = "JSON.parse(localStorage.getItem('editq.annotations'))?.masks[0]"
VIEWS = ("edit", "vectors", "annotate", "jobs", "batches")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.chromium() as started:
        yield started


@pytest.fixture
def address(plant: Trial) -> Iterator[str]:
    with serving(plant) as address:
        yield address


def draw(page: Any) -> None:
    page.click(".empty .primary >> nth=0")
    page.wait_for_selector("#mask", state="visible")


def test_a_sample_is_edited_seen_on_its_way_gone_back_to_and_kept(
    chromium: Any, address: str, tmp_path: Path
) -> None:
    with browser.studio(chromium, address) as page:
        draw(page)
        first = page.url
        browser.paint(page, "#mask", (0.2, 0.5, 0.8, 0.5))
        page.select_option("#edit-steps", "60")
        page.click("#edit")
        page.wait_for_selector("img.live[src^='data:image/jpeg']")
        page.wait_for_selector("#go-on")
        assert page.url.startswith(first + "/")
        with page.expect_download() as download:
            page.click("#zip")
        download.value.save_as(tmp_path / "all.zip")
        with zipfile.ZipFile(tmp_path / "all.zip") as archive:
            assert archive.testzip() is None
            assert {"after/edited.png", "after/delta_w.safetensors"} < set(archive.namelist())
        edited = page.url
        page.click(".tree .step >> nth=0")
        page.wait_for_selector("#mask", state="visible")
        assert page.url == first
        page.goto(edited)
        page.reload()
        page.wait_for_selector("#go-on")
        assert page.url == edited


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_edit_is_learned_as_a_vector_and_moves_another_picture(chromium: Any, address: str) -> None:
    with browser.studio(chromium, address) as page:
        draw(page)
        browser.paint(page, "#mask", (0.2, 0.5, 0.8, 0.5))
        page.select_option("#edit-steps", "60")
        page.click("#edit")
        page.click("#learn")
        page.fill("#vector-name", "a wide stroke")
        page.fill("#vector-tags", "tyre, wide")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=is in the library")
        page.click("nav [data-view=vectors]")
        page.click(".card:has-text('a wide stroke')")
        page.focus(".slider input")
        page.keyboard.press("End")
        page.wait_for_selector("#vector-picture[data-exact=true][src*='picture_000_00']")
        linked = page.url
        page.goto("about:blank")
        page.goto(linked)
        page.wait_for_selector("#vector-picture[data-exact=true][src*='picture_000_00']")
        assert page.url == linked


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_masks_are_corrected_and_a_segmenter_trained_on_them(chromium: Any, address: str) -> None:
    with browser.studio(chromium, address) as page:
        page.set_default_timeout(250_000)
        page.click("nav [data-view=annotate]")
        page.fill("#annotate-count", "2")
        page.click("#suggest")
        page.wait_for_selector("#annotated", state="visible")
        assert page.locator("#train").is_disabled()
        browser.paint(page, "#annotated", (0.1, 0.9, 0.9, 0.9))
        while (painted := page.evaluate(MASK)) is None:
            page.wait_for_timeout(100)
        page.reload()
        page.wait_for_selector("#annotated", state="visible")
        assert page.evaluate(MASK) == painted
        page.click("#annotated-done")
        page.wait_for_selector("text=1 of 2 masks are done")
        page.click("#annotated-done")
        page.wait_for_selector("#train:not(:disabled)")
        page.select_option("#train-steps", "500")
        page.click("#train")
        page.wait_for_selector("text=/mIoU [0-9.]+ %/")
        assert page.locator("#ious div").count() == 4
        page.wait_for_selector("#model option[value=my-cars]", state="attached")


def test_axe_finds_no_serious_fault_on_any_view_and_each_fits_a_phone(chromium: Any, address: str) -> None:
    with browser.studio(chromium, address) as page:
        draw(page)
        page.evaluate("document.querySelector('#main').append(document.createElement('img'))")
        assert any("image-alt" in fault for fault in browser.serious_faults(page))  # it does look
        page.evaluate("document.querySelector('#main > img').remove()")
        for view in VIEWS:
            page.click(f"nav [data-view={view}]")
            page.wait_for_timeout(300)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                assert browser.serious_faults(page) == [], (view, scheme)
            page.set_viewport_size({"width": 360, "height": 740})
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, view
            page.set_viewport_size({"width": 1280, "height": 800})
        page.keyboard.press("?")
        assert page.locator("#shortcuts h3").count() >= 2
        assert browser.serious_faults(page) == []
