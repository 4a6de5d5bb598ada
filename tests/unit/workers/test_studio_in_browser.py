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
VIEWS = ("edit", "vectors", "annotate", "jobs", "batches")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.chromium() as started:
        yield started


@pytest.fixture
def address(plant: Trial) -> Iterator[str]:
    with serving(plant) as address:
        yield address


def test_a_sample_is_edited_seen_on_its_way_gone_back_to_and_kept(
    chromium: Any, address: str, tmp_path: Path
) -> None:
    with browser.studio(chromium, address) as page:
        page.click(".empty .primary >> nth=0")
        page.wait_for_selector("#mask", state="visible")
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault_on_any_view(chromium: Any, address: str, scheme: str) -> None:
    with browser.studio(chromium, address, color_scheme=scheme) as page:
        page.click(".empty .primary >> nth=0")
        page.wait_for_selector("#mask", state="visible")
        for view in VIEWS:
            page.click(f"nav [data-view={view}]")
            page.wait_for_timeout(300)
            assert browser.serious_faults(page) == [], view
        page.keyboard.press("?")
        assert page.locator("#shortcuts h3").count() >= 2
        assert browser.serious_faults(page) == []
