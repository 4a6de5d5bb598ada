"""The smile table and the portraits' figures: rules, seeds, and whole runs on a tiny model of faces."""

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gpu_ops.bundle import Bundle
from gpu_ops.change import Measure
from gpu_ops.identity import Identity, IdentityConfig
from gpu_ops.learn import show
from gpu_ops.network_file import save_network
from gpu_ops.scenes import faces
from gpu_ops.scenes.portraits import STYLES
from gpu_ops.scenes.seeds import HELD_OUT_SEEDS_FROM
from gpu_ops.smile import SmileConfig, SmileReader
from gpu_ops.training import portraits, smiles
from gpu_ops.training.applied import Subjects, Vector, edited
from gpu_ops.training.inverted import codes_of
from gpu_ops.training.portraits import Sought, both, draw_portraits, figures_of, measure_portraits
from gpu_ops.training.smiles import Judges, Kept, chosen_strength, faces_of, make_table, read, table
from gpu_ops.training.starters import Learned, save_learned

SIZE_PX = 32
Codes = Callable[..., torch.Tensor]


@pytest.fixture
def model(tiny: Bundle) -> Bundle:
    """The tiny model with an embedder of persons."""
    identity = Identity(IdentityConfig(resolution=SIZE_PX, width=4, size=8)).eval().requires_grad_(False)
    return replace(tiny, identity=identity)


@pytest.fixture
def vector(model: Bundle) -> Vector:
    rng = torch.Generator().manual_seed(3)
    delta_w = torch.randn(model.generator.num_ws, model.generator.config.w_dim, generator=rng)
    return Vector(0.5 * delta_w, (2, 3))


def test_the_faces_of_a_table_have_the_expression_and_are_nobody_trained_on() -> None:
    assert faces_of("neutral", smiles.TABLE_SEEDS, 2, SIZE_PX).shape == (2, SIZE_PX, SIZE_PX, 3)
    firsts = [smiles.TABLE_SEEDS, smiles.CHOOSING_SEEDS, smiles.SMILING_SEEDS, portraits.PORTRAIT_SEEDS]
    assert min(firsts) > HELD_OUT_SEEDS_FROM + 2_000, "nor of the renders that FID is taken against"
    assert np.diff(sorted(firsts)).min() >= 100_000
    first = next(
        seed
        for seed in range(smiles.SMILING_SEEDS, smiles.SMILING_SEEDS + 50)
        if faces.sample_scene(seed, identity=seed).expression == "smiling"
    )
    exact = faces.render(faces.sample_scene(first, identity=first), SIZE_PX)[0]
    assert np.array_equal(faces_of("smiling", smiles.SMILING_SEEDS, 1, SIZE_PX)[0], exact)


def test_the_lowest_strength_that_makes_enough_smile_is_chosen() -> None:
    assert chosen_strength([(0.7, 0.5), (1.1, 0.98), (0.9, 0.975)]) == 0.9
    assert chosen_strength([(0.7, 0.5), (1.1, 0.8), (1.5, 0.8)]) == 1.1, (
        "none is enough: the best, then the lowest"
    )


def test_subjects_edited_at_strength_0_are_the_inversions(
    model: Bundle, vector: Vector, codes: Codes
) -> None:
    w_plus = codes(3)
    subjects = Subjects.of(model, np.zeros((3, SIZE_PX, SIZE_PX, 3), np.uint8), w_plus)
    same, leaks = edited(model, subjects, vector, 0.0, 0)
    assert np.array_equal(same, subjects.inverted)
    assert leaks == [np.inf] * 3
    other, leaks = edited(model, subjects, vector, 1.0, 0)
    assert np.array_equal(other[:1], show(model, w_plus[:1], vector.delta_w).after.pictures)
    assert all(np.isfinite(leaks))


def test_codes_are_found_once(model: Bundle, tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
    found = codes_of(model, pictures, tmp_path / "x.safetensors", steps=2, chunk=2)
    again = codes_of(model, pictures, tmp_path / "x.safetensors", steps=99)
    assert torch.equal(found, again)
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]
    with pytest.raises(ValueError, match="3 codes, not 2"):
        codes_of(model, pictures[:2], tmp_path / "x.safetensors", steps=2)


def options(out: Path, **more: object) -> argparse.Namespace:
    few = {
        "count": 3,
        "choosing": 2,
        "smiling": 2,
        "strengths": "0.7",
        "inversion_steps": 2,
        "refine_steps": 1,
        "first_seed": portraits.PORTRAIT_SEEDS,
        "lambda_prior": 0.1,
        "strength": 1.0,
    }
    return argparse.Namespace(out=out, **few | more)


def test_a_table_goes_on_with_the_rows_that_are_missing(
    model: Bundle, vector: Vector, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = SmileReader(SmileConfig(resolution=SIZE_PX, width=4)).eval()
    held_out = faces_of("frowning", 0, 4, SIZE_PX)
    judges = Judges(reader, read(model, held_out))
    (tmp_path / "vector").write_bytes(b"one")
    path = tmp_path / "smiles.json"
    make_table(model, vector, judges, Kept(path, [tmp_path / "vector"]), options(tmp_path))
    first = json.loads(path.read_text())
    assert [(row["strength"], row["refine_steps"], row["n"]) for row in first["rows"]] == [
        (0.7, 0, 3),
        (0.7, 1, 3),
    ]
    assert all(np.isfinite(value) for row in first["rows"] for value in row.values())
    assert (first["choosing"]["n"], first["reference"]) == (2, 4)
    kept = Kept(path, [tmp_path / "vector"])
    kept.figures["rows"][0]["fid"] = -1.0  # a row that is there is not measured again
    capsys.readouterr()
    make_table(model, vector, judges, kept, options(tmp_path, strengths="0.7,1.7"))
    rows = json.loads(path.read_text())["rows"]
    assert [(row["strength"], row["refine_steps"]) for row in rows] == [
        (0.7, 0),
        (0.7, 1),
        (1.7, 0),
        (1.7, 1),
    ]
    assert rows[0]["fid"] == -1.0
    text = (tmp_path / "smiles.md").read_text()
    assert text.count("\n") == 6
    assert "vector + 1 steps | 1.7" in text
    (tmp_path / "vector").write_bytes(b"another")
    with pytest.raises(SystemExit, match="another model or vector"):
        Kept(path, [tmp_path / "vector"])


def test_the_table_s_command_reads_the_model_from_its_folder(
    model: Bundle,
    vector: Vector,
    codes: Codes,
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "faces")
    described = json.loads((folder / "model.json").read_text())
    reader = SmileReader(SmileConfig(resolution=SIZE_PX, width=4))
    assert model.identity is not None
    for role, network in (("identity", model.identity), ("smile", reader)):
        save_network(folder / f"{role}.safetensors", network, network.config.as_dict(), half=True)
        described["files"][role] = f"{role}.safetensors"
    (folder / "model.json").write_text(json.dumps(described))
    about = {"name": "smile", "q_edit": ["tyre", "rim"]}
    save_learned(folder / "vectors", Learned(vector.delta_w, show(model, codes(1), vector.delta_w), about))
    np.save(tmp_path / "pictures.npy", faces_of("frowning", 0, 4, SIZE_PX))
    few = [
        "--count",
        "2",
        "--choosing",
        "2",
        "--smiling",
        "2",
        "--inversion-steps",
        "2",
        "--refine-steps",
        "1",
    ]
    where = [str(folder), "--held-out", str(tmp_path), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["smiles", *where, *few, "--strengths", "1.1"])
    smiles.main()
    found = json.loads((tmp_path / "out" / "smiles.json").read_text())
    assert found["chosen_strength"] == 1.1
    assert len(found["rows"]) == 2


def test_a_table_s_rows_say_percent_and_thousandths() -> None:
    row = {"strength": 0.9, "refine_steps": 0, "accuracy": 0.925, "fid": 3.14159, "kid": 0.00212}
    text = table([row | {"identity": 0.75, "psnr_outside_db": 27.04, "n": 400}], 0.9)
    assert text.splitlines()[-1] == "| vector | 0.9 (chosen) | 92.5 | 3.14 | 2.12 | 0.7500 | 27.0 | 400 |"


def test_portraits_are_of_people_at_rest_in_each_style_by_turns() -> None:
    drawn = draw_portraits(4, SIZE_PX)
    assert drawn.styles == [*STYLES, next(iter(STYLES))]
    assert drawn.pictures.shape == (4, SIZE_PX, SIZE_PX, 3)
    assert len({picture.tobytes() for picture in drawn.pictures}) == 4
    others = draw_portraits(1, SIZE_PX, portraits.PORTRAIT_SEEDS + 200_000)
    assert all((others.pictures[0] != picture).any() for picture in drawn.pictures)


def test_an_edit_is_seen_from_half_of_what_the_example_shows() -> None:
    shares = [0.49, 0.5, 1.2, float("nan")]
    figures = figures_of(shares, ["a", "a", "b", "b"], [30.0, 31.0, 29.0, 40.0])
    assert (figures["n"], figures["judge_sees"]) == (4, 0.5)
    assert figures["by_style"] == {"a": 0.5, "b": 0.5}
    assert figures["psnr_outside_db"] == 30.5


def test_what_is_sought_comes_from_the_vector_s_own_file() -> None:
    measured = {"kind": "shift", "name": "iris", "parts": [2], "dx": 1.0, "dy": 0.0}
    about = {"name": "x", "facts": {"measure": measured}, "report": {"measure": {"example": {"judge": 0.2}}}}
    assert Sought.of(about) == Sought(Measure("shift", "iris", (2,), 1.0, 0.0), 0.2)
    about["report"] = {"measure": {"example": {"judge": None}}}
    with pytest.raises(ValueError, match="saw nothing of the example of x"):
        Sought.of(about)


def test_portraits_are_measured_and_shown(
    model: Bundle, vector: Vector, codes: Codes, tmp_path: Path
) -> None:
    example = show(model, codes(1), vector.delta_w)
    about = {
        "name": "wide",
        "q_edit": ["tyre", "rim"],
        "facts": {"measure": {"kind": "growth", "name": "body", "parts": [1], "dx": 0.0, "dy": 0.0}},
        "report": {"measure": {"example": {"judge": 0.1}}},
    }
    save_learned(tmp_path, Learned(vector.delta_w, example, about))
    paths = [tmp_path / "wide.safetensors"] * 2
    found = measure_portraits(model, paths, options(tmp_path, count=3))
    assert found["vectors"]["wide"]["n"] == 3
    assert set(found["vectors"]["wide"]["by_style"]) == set(found["inverted_psnr_db"]) == set(STYLES)
    assert json.loads((tmp_path / "portraits.json").read_text()) == found
    assert (tmp_path / "portraits.png").stat().st_size > 0
    measure_portraits(model, paths, options(tmp_path, count=3, lambda_prior=10.0))
    kept = sorted(tmp_path.glob("10400000-2-*.safetensors"))
    assert [path.name for path in kept] == ["10400000-2-0.1.safetensors", "10400000-2-10.safetensors"]
    weak, strong = (load_file(path)["w_plus"] for path in kept)
    assert not torch.equal(weak, strong), "each setting has codes of its own"


def test_two_vectors_at_once_are_their_sum_about_the_parts_of_both(vector: Vector) -> None:
    summed = both(vector, Vector(vector.delta_w, (1, 3)))
    assert torch.equal(summed.delta_w, 2 * vector.delta_w)
    assert summed.q_edit == (1, 2, 3)
