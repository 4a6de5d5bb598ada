"""The pipeline of the bundled models: its stages, what is annotated, and the figures it is judged by."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gpu_ops.bundle import read_description
from gpu_ops.scenes import faces
from gpu_ops.training.annotate import choose
from gpu_ops.training.distribution import shares_of
from gpu_ops.training.domain import Making, make_domain
from gpu_ops.training.domains import DOMAINS, FACE_SHARES, face_traits, spread
from gpu_ops.training.evaluate import segmentation_figures


def labels(count: int) -> list[dict[str, object]]:
    scenes = [faces.sample_scene(seed, faces.identity_of(seed, 10)) for seed in range(count)]
    return [json.loads(json.dumps(scene.labels())) for scene in scenes]


def test_faces_to_annotate_are_different_people_of_all_kinds() -> None:
    rows = labels(400)
    chosen = DOMAINS["faces"].annotated(rows)
    assert len(set(chosen)) == 16
    kinds = Counter(trait for index in chosen for trait in face_traits(rows[index]))
    assert len({rows[index]["identity"] for index in chosen}) == 16
    assert {word for word in faces.HAIR_STYLES if kinds[f"{word} hair"]} == set(faces.HAIR_STYLES)
    assert min(kinds[word] for word in faces.EXPRESSIONS) >= 3
    assert 3 <= kinds["glasses"] <= 8
    assert 2 <= kinds["eyes closed"] <= 6
    assert 5 <= kinds["mouth open"] <= 11


def test_a_trait_of_half_a_share_is_chosen_half_as_often() -> None:
    rows = [["plain"], ["rare"]] * 40
    chosen = Counter(rows[index][0] for index in spread(rows, 30, {"rare": 0.5}))
    assert chosen == {"plain": 20, "rare": 10}
    assert spread([["a"], ["b"]], 5, FACE_SHARES) == [0, 1], "no more than there are"


def test_cars_to_annotate_are_of_the_body_types_in_turn() -> None:
    kinds = ["van", "sedan", "coupe", "pickup", "hatchback"] * 60
    scenes = [{"body_type": kind} for kind in kinds]
    assert DOMAINS["cars"].annotated(scenes) == choose(kinds[:200], 16)


def test_stages_end_in_a_bundle_of_all_roles() -> None:
    cars, people = (list(Making(DOMAINS[name], Path("out"), 1, 1).stages()) for name in ("cars", "faces"))
    assert cars == ["data", "judge", "perceptual", "generator", "annotated", "segmenter", "bundle", "encoder"]
    assert people == [*cars[:3], "identity", "smile", *cars[3:]]
    assert set(DOMAINS["faces"].files) - set(DOMAINS["cars"].files) == {"identity", "smile"}


def test_a_bundle_takes_up_an_encoder_once_there_is_one(tiny_folder: Path, tmp_path: Path) -> None:
    making = Making(DOMAINS["faces"], tmp_path, 1, 1)
    for role in ("generator", "segmenter", "perceptual", "judge", "identity", "smile"):
        shutil.copy(tiny_folder / "generator.safetensors", making.file(role))
    making.bundle()
    assert "encoder" not in read_description(making.folder)["files"]
    making.file("encoder").write_bytes(b"trained on the bundle")
    making.bundle()
    described = read_description(making.folder)
    assert described["files"] == DOMAINS["faces"].files
    assert [part["name"] for part in described["parts"]] == list(faces.PARTS)
    assert all((making.folder / name).is_file() for name in described["files"].values())


def test_stages_whose_output_is_there_are_not_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for stage, (output, _) in Making(DOMAINS["cars"], tmp_path, 1, 1).stages().items():
        if stage not in ("bundle", "encoder"):
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_bytes(b"made before")
    make_domain("cars", [str(tmp_path), "--until", "segmenter"])
    assert capsys.readouterr().out.count("is there already") == 6
    assert not (tmp_path / "bundle").exists()


def test_shares_are_of_the_likeliest_word_of_one_attribute() -> None:
    names = ["hue", "kind=a", "kind=b", "other=a"]
    guesses = np.array([[9, 1, 0, 5], [9, 0, 1, 5], [9, 2, 1, 5], [9, 3, 1, 5]], dtype=np.float64)
    assert shares_of("kind", guesses, names) == {"a": 0.75, "b": 0.25}


def test_figures_tell_the_subject_s_own_parts_from_the_rest() -> None:
    exact = np.array([[[0, 0, 1, 2]] * 4], dtype=np.uint8)
    found = exact.copy()
    found[0, :, 1] = 1
    figures = segmentation_figures(found, exact, ["sky", "road", "car"], 1, "judge")
    assert (figures["judge_own_parts"], figures["judge_miou_own"]) == (2, 0.75)
    assert figures["judge_iou"] == {"sky": 0.5, "road": 0.5, "car": 1.0}
