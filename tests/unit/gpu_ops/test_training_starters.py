"""The starter vectors: what their scenes ask for, and that learning them leaves files that tell all."""

import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from PIL import Image

from gpu_ops.bundle import Bundle
from gpu_ops.scenes.dataset import HELD_OUT_SEEDS_FROM
from gpu_ops.training import starter_table
from gpu_ops.training.domains import DOMAINS
from gpu_ops.training.starter_table import STARTERS, Source, Starter, draw_source, part_ids
from gpu_ops.training.starters import How, finite, learn_starter, load_vector, save_learned

ALL = [starter for starters in STARTERS.values() for starter in starters]
SIZE_PX = 32


def named(starter: Starter) -> str:
    return f"{starter.domain} {starter.name}"


@pytest.mark.parametrize("starter", ALL, ids=named)
def test_a_starter_asks_for_a_change_of_its_own_parts(starter: Starter) -> None:
    source = draw_source(starter, SIZE_PX, sources=1)
    ids = part_ids(starter)
    changed = (source.before != source.after)[0]
    about = np.isin(source.before[0], ids) | np.isin(source.after[0], ids)
    assert changed.any()
    assert (changed & about).sum() > 0.5 * changed.sum(), "most of what changes is what it is about"
    assert max(starter.seeds) < HELD_OUT_SEEDS_FROM


@pytest.mark.parametrize("domain", sorted(STARTERS))
def test_each_model_has_its_starters_and_one_beyond_the_renderer(domain: str) -> None:
    names = [starter.name for starter in STARTERS[domain]]
    assert len(set(names)) == len(names)
    assert any(starter.beyond for starter in STARTERS[domain])
    assert all(starter.domain == domain for starter in STARTERS[domain])


def test_people_to_learn_on_are_different_people() -> None:
    faces = DOMAINS["faces"].scenes
    assert len({faces.sample_scene(seed).identity for seed in starter_table.PEOPLE}) == len(
        starter_table.PEOPLE
    )


def test_a_car_s_rear_ends_where_it_is_cut() -> None:
    starter = next(each for each in ALL if each.name == "rear cut off")
    source = draw_source(starter, SIZE_PX, sources=1)
    behind = np.arange(SIZE_PX) >= (starter.cut_from or 0) * SIZE_PX
    own = DOMAINS["cars"].own_from
    assert (source.before[0][:, behind] >= own).any()
    assert not (source.after[0][:, behind] >= own).any()
    assert (source.after[0][:, ~behind] == source.before[0][:, ~behind]).all()


def test_what_is_wanted_is_the_picture_s_own_mask_where_nothing_changes() -> None:
    before, after = np.array([[[0, 1, 1]]], np.uint8), np.array([[[0, 1, 2]]], np.uint8)
    source = Source(np.zeros((1, 1, 3, 3), np.uint8), before, after)
    assert source.wanted(np.array([[[3, 0, 1]]], np.uint8)).tolist() == [[[3, 0, 2]]]


def test_numbers_that_json_has_no_word_for_are_none() -> None:
    assert finite({"a": [float("inf"), 1.5, (float("nan"), 2)], "b": "x"}) == {
        "a": [None, 1.5, [None, 2]],
        "b": "x",
    }


@pytest.fixture
def few_parts(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """The tiny model as one of cars that has four parts: the pictures stay, parts beyond are the body."""

    class FewParts:
        PARTS = ("sky", "body", "tyre", "rim")
        GROUPS = MappingProxyType({"wheel": ("tyre", "rim")})

        @staticmethod
        def sample_scene(seed: int) -> object:
            return DOMAINS["cars"].scenes.sample_scene(seed)

        @staticmethod
        def render(scene: object, size_px: int) -> tuple[np.ndarray, np.ndarray]:
            scenes = cars
            picture, mask = scenes.render(scene, size_px)
            names = np.array(
                [
                    FewParts.PARTS.index(part) if part in FewParts.PARTS else int(index >= 3)
                    for index, part in enumerate(scenes.PARTS)
                ]
            )
            return picture, names[mask].astype(np.uint8)

    cars = DOMAINS["cars"].scenes
    monkeypatch.setattr(tiny.perceptual, "edit_factor", 0.0)  # random weights resent any change
    monkeypatch.setitem(DOMAINS, "few", replace(DOMAINS["cars"], scenes=FewParts))
    return tiny


def test_a_learned_starter_tells_what_it_does_and_how_it_was_made(few_parts: Bundle, tmp_path: Path) -> None:
    larger = next(each for each in ALL if each.name == "larger wheels")
    starter = replace(larger, domain="few")
    learned = learn_starter(
        few_parts, starter, How(2, inversion_steps=2, steps=6, samples=1, generator_sha256="5ha")
    )
    save_learned(tmp_path, learned)
    delta_w, about = load_vector(tmp_path / "larger-wheels.safetensors")
    assert delta_w.dtype == torch.float32
    assert torch.equal(delta_w, learned.delta_w)
    assert delta_w.abs().max() > 0
    assert about["q_edit"] == ["tyre", "rim"]
    assert about["tags"] == ["starter", "wheels"]
    assert set(about) == {"name", "model", "editing_type", "tags", "q_edit", "facts", "report"}
    assert [row["seed"] for row in about["facts"]["sources"]] == list(starter.seeds[:2])
    assert (len(about["facts"]["metrics"]), about["facts"]["generator_sha256"]) == (2, "5ha")
    assert about["report"]["samples"] == 1
    assert json.loads((tmp_path / "larger-wheels.json").read_text()) == about
    before, after = (
        np.asarray(Image.open(tmp_path / f"larger-wheels.{moment}.png")) for moment in ("before", "after")
    )
    assert np.array_equal(before, learned.example.before.pictures[0])
    assert np.array_equal(after, learned.example.after.pictures[0])
