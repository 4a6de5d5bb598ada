"""The edits that factors are fitted by: which scenes, what is asked for; and recording what was found."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gpu_ops.perceptual import load_bundled
from gpu_ops.scenes import cars, faces
from gpu_ops.training import perceptual
from gpu_ops.training.edits import EDITS, exact_edits, smiling, targets, with_larger_wheels
from gpu_ops.training.perceptual import AttributeReader, load_reader, save_backbone

FIRST_SEED = 10_001_000
SIZE_PX = 32


@pytest.mark.parametrize("domain", sorted(EDITS))
def test_an_edit_changes_the_parts_that_it_is_about(domain: str) -> None:
    edits = exact_edits(domain, FIRST_SEED, 2, SIZE_PX)
    assert edits.pictures.shape == (2, SIZE_PX, SIZE_PX, 3)
    for before, after in zip(edits.before, edits.after, strict=True):
        changed = before != after
        about = np.isin(before, edits.q_edit) | np.isin(after, edits.q_edit)
        assert (changed & about).sum() > 0.5 * changed.sum() > 0


def test_cars_are_the_first_whose_wheels_can_grow() -> None:
    edits = exact_edits("cars", FIRST_SEED, 2, SIZE_PX)
    scenes = [cars.sample_scene(seed) for seed in range(FIRST_SEED, FIRST_SEED + 40)]
    fitting = [scene for scene in scenes if scene.wheel_radius <= 0.105][:2]
    larger = replace(fitting[1], wheel_radius=fitting[1].wheel_radius * 1.4)
    assert np.array_equal(edits.pictures[0], cars.render(fitting[0], SIZE_PX)[0])
    assert np.array_equal(edits.after[1], cars.render(larger, SIZE_PX)[1])
    assert with_larger_wheels(replace(fitting[0], wheel_radius=0.12)) is None


def test_faces_that_are_made_to_smile_are_at_rest() -> None:
    scene = replace(faces.sample_scene(0), smile=0.1, mouth_open=-0.5)
    found = smiling(scene)
    assert found is not None
    assert found.expression == "smiling"
    assert smiling(replace(scene, mouth_open=0.3)) is None
    assert smiling(replace(scene, smile=0.3)) is None


def test_the_mask_wanted_is_the_inversion_s_own_elsewhere() -> None:
    edits = exact_edits("faces", FIRST_SEED, 1, SIZE_PX)
    own = np.full_like(edits.before, 3)
    wanted = targets(own, edits)
    changed = edits.before != edits.after
    assert (wanted[changed] == edits.after[changed]).all()
    assert (wanted[~changed] == 3).all()


def test_factors_are_recorded_in_a_file_without_another_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "perceptual.safetensors"
    reader = AttributeReader(2)
    save_backbone(path, reader, ["one", "two"], 1.0, 1.0)
    before = load_reader(path)[0].state_dict()
    monkeypatch.setattr(
        sys, "argv", ["perceptual", "--out", str(path), "--edit-factor", "0.2", "--invert-factor", "0.003"]
    )
    perceptual.main()
    network = load_bundled(path)
    assert (network.edit_factor, network.invert_factor) == (0.2, 0.003)
    after, names = load_reader(path)
    assert names == ["one", "two"]
    assert all(torch.equal(tensor, after.state_dict()[name]) for name, tensor in before.items())
