"""The studio in a real browser over a tiny model: short, so that CI looks at it every time. The long one is
tests/acceptance/test_studio.py."""

import dataclasses
import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pytest
from service_trial import serving
from tiny_model import PARTS, make_tiny_model
from worker_trial import Trial

import gpu_ops
from storage.library_records import Vector
from storage.objects import vector_key
from storage.records import new_id
from storage.vector_files import VECTOR_MEDIA_TYPE, write_vector
from workers.release import register_models

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(
        browser.missing() is not None and os.environ.get("CI") != "true", reason=str(browser.missing())
    ),
]
MASK = "JSON.parse(localStorage.getItem('editq.annotations.cars'))?.masks[0]"
STARTERS = Path(gpu_ops.__path__[0]) / "pretrained" / "cars" / "vectors"
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
        page.wait_for_selector("img.live[src^='data:image/png']")
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


def test_a_page_that_is_older_than_the_service_says_so(chromium: Any, address: str) -> None:
    def of_the_next_version(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, headers={**answer.headers, "editq-version": "next"})

    with browser.studio(chromium, address) as page:
        page.click("nav [data-view=jobs]")
        assert not page.is_visible("#updated")
        page.route("**/v1/jobs?*", of_the_next_version)
        page.reload()
        page.wait_for_selector("#updated:has-text('reload this page')")


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
        page.click(".choose:has-text('a wide stroke')")
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


def test_a_vectors_report_is_told_and_its_file_goes_out_and_in(
    chromium: Any, address: str, plant: Trial, tmp_path: Path
) -> None:
    starter = json.loads((STARTERS / "larger-wheels.json").read_text())
    kept = keep_vector(plant, starter["name"])
    plant.stores.library.put_vector(dataclasses.replace(kept, id=new_id(), report=starter["report"]))
    with browser.studio(chromium, address) as page:
        page.click("nav [data-view=vectors]")
        page.click("[aria-label='Report on larger wheels']")
        said = page.inner_text("dialog.report")
        row = starter["report"]["strengths"][3]
        assert row["strength"] == 1.0
        for figure in (row["psnr_outside_db"], starter["report"]["refinement"]["gain_db"]):
            assert f"{figure:.1f}" in said
        assert f"{row['lpips_outside']:.3f}" in said
        assert "strength −1 to +1.75" in said
        assert "Refinement is not needed" in said
        assert page.locator("dialog.report svg").count() == 2
        assert page.locator("dialog.report tbody tr").count() == 6
        assert browser.serious_faults(page) == []
        page.click("dialog.report >> text=Close")
        with page.expect_download() as download:
            page.click(".card:has([aria-label='Report on larger wheels']) >> text=Export")
        download.value.save_as(tmp_path / "mine.safetensors")
        page.click("#import")
        page.set_input_files("#import-file", str(tmp_path / "mine.safetensors"))
        assert page.input_value("#import-name") == "mine"
        page.fill("#import-parts", "wheel")
        page.click("dialog >> text=Import >> nth=-1")
        page.wait_for_selector(".choose:has-text('mine')")
    found = {vector.name: vector for vector in plant.stores.library.list_vectors("local").items}
    assert found["mine"].q_edit == ("tyre", "rim")
    assert found["mine"].files["delta_w"].sha256 == kept.files["delta_w"].sha256


def test_another_model_takes_the_place_of_all_that_was_of_the_one_before(
    chromium: Any, address: str, plant: Trial, tmp_path: Path
) -> None:
    make_tiny_model(tmp_path, "leaves", seed=1, parts=("ground", "leaf"))
    register_models(plant.stores, tmp_path)
    vector = keep_vector(plant, "of cars")
    with browser.studio(chromium, address) as page:
        page.wait_for_selector(".model-card >> nth=1")
        assert page.locator(".model-card").count() == 2
        draw(page)
        assert page.locator(".palette label").all_inner_texts() == list(PARTS)
        page.click("nav [data-view=vectors]")
        page.click(".choose:has-text('of cars')")
        page.fill(".slider input", "1")
        page.wait_for_selector("#vector-picture[data-exact=true][src*='picture_000_00']")
        linked = page.url

        page.select_option("#model", "leaves")
        page.wait_for_selector("text=This model has no vectors yet")
        assert page.locator(".slider").count() == 0
        assert page.url.endswith("#/vectors")
        (tmp_path / "other.json").write_text(json.dumps({"name": "of cars", "model": "cars"}))
        (tmp_path / "other.npy").write_bytes(b"numbers")
        page.click("#import")
        page.set_input_files("#import-file", [str(tmp_path / f"other.{end}") for end in ("json", "npy")])
        page.wait_for_selector("dialog .problem >> text=learned on the model cars")
        page.keyboard.press("Escape")

        page.click("nav [data-view=edit]")
        page.wait_for_selector(".model-card[data-model=leaves][aria-pressed=true]")
        assert page.locator(".tree .step").count() == 0 or not page.locator(".tree").is_visible()
        draw(page)
        assert page.locator(".palette label").all_inner_texts() == ["ground", "leaf"]
        source = page.url.split("/")[-1]
        page.goto(page.url.split("#")[0] + f"#/vectors/{source}/{vector.id}=1")
        page.wait_for_selector("text=its numbers mean something else")
        assert page.locator(".slider").count() == 0

        page.goto("about:blank")
        page.goto(linked)  # of the first model: all of it is back
        page.wait_for_selector("#vector-picture[data-exact=true][src*='picture_000_00']")
        assert page.input_value("#model") == "cars"


def keep_vector(plant: Trial, name: str) -> Vector:
    """An import for the tiny model, of made up numbers, as the API would keep it."""
    model = plant.stores.library.get_model("local", "cars")
    delta_w = np.random.default_rng(0).normal(0, 0.1, (8, 16)).astype(np.float32)
    content = write_vector(delta_w)
    key = vector_key("local", hashlib.sha256(content).hexdigest())
    ref = plant.stores.objects.put(key, content, VECTOR_MEDIA_TYPE)
    return plant.stores.library.put_vector(
        Vector(
            new_id(), "local", name, "cars", model.digest, model.generator_sha256, "", (), (),
            {"delta_w": ref}, {}, {}, None, 0.0,
        )
    )  # fmt: skip


@pytest.mark.slow
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
