"""The gallery: which pictures and words it leaves for which models, and that its seeds are whom they say."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tiny_model import make_tiny_model

from gpu_ops.bundle import load_bundle
from gpu_ops.gallery.__main__ import main
from gpu_ops.gallery.pasted import CROP_PX, SCENE_PX, around_largest, photograph
from gpu_ops.gallery.sheet import PAPER, Tile, fitting, sheet
from gpu_ops.gallery.shown import NotShown, Shown, read_model
from gpu_ops.gallery.strengths import draw_strengths, row_of
from gpu_ops.gallery.table import CARS, FACES, FIRST, QUICK, SHOWS, STRENGTHS, scene_of
from gpu_ops.scenes import cars, faces
from gpu_ops.scenes.dataset import HELD_OUT_SEEDS_FROM
from gpu_ops.training.domains import DOMAINS
from gpu_ops.training.starter_table import STARTERS
from gpu_ops.training.starters import file_stem

pytestmark = pytest.mark.thorough


def make_model(folder: Path, name: str, vectors: Sequence[str]) -> Path:
    """A random model of a domain's parts, with random vectors of these names."""
    home = make_tiny_model(folder, name, parts=DOMAINS[name].parts)
    bundle = load_bundle(home)
    shape = (bundle.generator.num_ws, bundle.generator.config.w_dim)
    (home / "vectors").mkdir()
    for seed, vector in enumerate(vectors):
        delta_w = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        save_file({"delta_w": delta_w}, home / "vectors" / f"{file_stem(vector)}.safetensors")
        about = {"name": vector, "q_edit": bundle.parts[3:6]}
        (home / "vectors" / f"{file_stem(vector)}.json").write_text(json.dumps(about))
    return home


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundled")
    make_model(folder, "cars", ["longer body", "larger wheels"])
    return folder


@pytest.fixture(scope="module")
def shown(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    return read_model(models / "cars", tmp_path_factory.mktemp("kept"), QUICK)


def draw(models: Path, docs: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "argv", ["gallery", "--models", str(models), "--docs", str(docs), "--quick"])
    main()
    return (docs / "gallery.md").read_text()


def test_a_page_names_every_picture_and_what_is_not_shown(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gallery").mkdir()
    (tmp_path / "gallery" / "of-a-former-gallery.webp").write_bytes(b"")
    page = draw(models, tmp_path, monkeypatch)
    files = {path.name for path in (tmp_path / "gallery").iterdir()}
    assert files == {
        *("cars-parts.webp", "cars-larger-wheels.webp", "cars-longer-body.webp", "cars-pair.webp"),
        *("cars-ways.webp", "cars-pasted.webp", "cars-pasted-crop.webp"),
    }
    assert all(f"(gallery/{name})" in page for name in files)
    assert page.index("larger-wheels.webp") < page.index("longer-body.webp"), "in the order of the table"
    assert "no such model is bundled: faces." in page
    assert "Not shown:" not in page, "of cars nothing is lacking"
    assert page.count("| from scratch, 1 steps |") == 1
    with Image.open(tmp_path / "gallery" / "cars-pasted.webp") as image:
        assert image.width == 3 * SCENE_PX >= 1024


def test_faces_are_shown_with_portraits_as_soon_as_they_are_bundled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(tmp_path / "models", "faces", ["smile", "close eyes", "long hair"])
    page = draw(tmp_path / "models", tmp_path / "docs", monkeypatch)
    assert all(f"gallery/faces-{name}.webp" in page for name in ("smile", "long-hair", "portraits", "pasted"))
    assert "two vectors at once (the model has no vector gaze left)" in page
    assert "no such model is bundled: cars." in page


def test_strength_zero_shows_the_inversion_and_others_do_not(shown: Shown) -> None:
    (subject,) = shown.subjects([CARS.subjects[0]])
    row = row_of(shown, subject, "larger wheels")
    at = 1 + STRENGTHS.index(0.0)
    assert np.array_equal(row[at].picture, subject.before.pictures[0])
    assert row[at].lines[0] == "inversion,"
    assert len(row) == 1 + len(STRENGTHS)
    for strength, tile in zip(STRENGTHS, row[1:], strict=True):
        assert np.array_equal(tile.picture, subject.before.pictures[0]) == (strength == 0)


def test_codes_are_found_once(shown: Shown) -> None:
    (first,) = shown.subjects([1])
    kept = {path: path.stat().st_mtime_ns for path in shown.kept.iterdir()}
    (again,) = shown.subjects([1])
    assert {path: path.stat().st_mtime_ns for path in shown.kept.iterdir()} == kept
    assert torch.equal(first.w_plus, again.w_plus)
    shown.subjects([2])
    assert len(list(shown.kept.iterdir())) == len(kept) + 1


def test_a_model_without_vectors_has_no_strengths_to_show(tmp_path: Path) -> None:
    model = read_model(make_model(tmp_path, "cars", []), tmp_path, QUICK)
    with pytest.raises(NotShown, match="no vectors"):
        draw_strengths(model)


@pytest.mark.parametrize("name", sorted(SHOWS))
def test_what_is_shown_is_held_out_and_there(name: str) -> None:
    show, vectors = SHOWS[name], {starter.name for starter in STARTERS[name]}
    assert FIRST > HELD_OUT_SEEDS_FROM
    named = {*show.pair, show.hard.vector, show.row.vector, *show.subjects_of, *(show.portrait_vectors or ())}
    assert named <= vectors
    assert show.hard.group in DOMAINS[name].scenes.GROUPS


def test_faces_have_something_left_to_do() -> None:
    """At rest, with open eyes; half shut where they are to be opened, and short hair where it is to grow."""
    for vector in ("", *FACES.subjects_of):
        for seed in FACES.subjects_of.get(vector, FACES.subjects):
            scene = scene_of(faces, seed)
            assert (scene.expression, scene.glasses, scene.identity) == ("neutral", "none", FIRST + seed)
            assert scene.mouth_open < 0
            assert scene.eye_open < 0.5 if vector == "open eyes" else scene.eye_open > 0.7
            assert vector != "long hair" or scene.hair_style in ("short", "cropped")


def test_cars_have_room_for_larger_wheels() -> None:
    for seed in (*CARS.subjects, CARS.hard.seed, CARS.row.seeds[1]):
        assert scene_of(cars, seed).wheel_radius < 0.115


def test_the_photograph_shows_no_seam_between_its_scenes(shown: Shown) -> None:
    picture = photograph(shown).astype(int)
    assert picture.shape == (SCENE_PX, 3 * SCENE_PX, 3)
    sky = picture[: SCENE_PX // 4]
    for edge in (SCENE_PX, 2 * SCENE_PX):
        assert np.abs(sky[:, edge] - sky[:, edge - 1]).max() <= 1


def test_a_crop_is_around_the_largest_change() -> None:
    flags = np.zeros((400, 600), bool)
    flags[10:20, 10:20] = True
    flags[200:240, 300:340] = True
    left, top = around_largest(flags, CROP_PX)
    assert (left + CROP_PX // 2, top + CROP_PX // 2) == (320, 220)
    assert around_largest(np.zeros((400, 600), bool), CROP_PX) == (300 - CROP_PX // 2, 200 - CROP_PX // 2)
    flags = np.zeros((400, 600), bool)
    flags[399, 599] = True
    assert around_largest(flags, CROP_PX) == (600 - CROP_PX, 400 - CROP_PX)


def test_a_sheet_has_a_place_for_each_tile_and_words_fit_theirs() -> None:
    tile = Tile(np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), np.uint8), ("one", "two"))
    image = np.asarray(sheet("title", ("a", "b"), [[tile, tile]] * 2, [(0, 0, 0), (250, 0, 0)]))
    black = (image == 0).all(axis=2).sum()
    red = (image == (250, 0, 0)).all(axis=2).sum()
    assert (black, red) == (4 * 192 * 192, 4 * 96 * 96)
    assert (image[-10:] == PAPER).all()
    for text in ("short", "a name that is far too long for its column"):
        assert fitting(text, 19, 192).getlength(text) <= 192
    assert fitting("short", 19, 192).getlength("short") == fitting("short", 19, 999).getlength("short")
